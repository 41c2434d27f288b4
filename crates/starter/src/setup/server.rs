//! Servers: by SSH, to known hosts only.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, bail};

use super::answers::{Answers, Server};
use super::step::{Input, Step};
use crate::config::Config;

const SCRIPT: &str = include_str!("../../templates/setup/server.sh");

pub(super) fn steps(answers: &Answers, config: &Config) -> anyhow::Result<Vec<Step>> {
    let key = public_key(&answers.key)?;
    let mut steps = Vec::new();
    for server in &answers.servers {
        known_host(server)?;
        let script = SCRIPT
            .replace("«user»", &server.deploy_user)
            .replace("«key»", &key)
            .replace("«project»", &config.main.name);
        let (port, target) = (server.port.to_string(), format!("{}@{}", server.user, server.host));
        let arguments = ["-o", "StrictHostKeyChecking=yes", "-o", "BatchMode=yes", "-p", &port, &target, "sh -s"];
        steps.push(Step::run_program("ssh", &arguments, Input::Text(script)));
    }
    Ok(steps)
}

/// The lines about a server in the known hosts of this user. Nobody else can say that a server is the right one.
pub(super) fn known_host(server: &Server) -> anyhow::Result<String> {
    let name = if server.port == 22 { server.host.clone() } else { format!("[{}]:{}", server.host, server.port) };
    let output = Command::new("ssh-keygen")
        .args(["-F", &name])
        .stdin(Stdio::null())
        .output()
        .context("cannot run ssh-keygen")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    if !output.status.success() || lines.is_empty() {
        bail!(
            "{name} is not a known host: connect to it once with `ssh -p {} {}@{}`, and compare the fingerprint with that of its provider",
            server.port,
            server.user,
            server.host
        );
    }
    Ok(lines.join("\n") + "\n")
}

/// A path of this user's, in which `~` is the home folder.
pub(super) fn file(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), env::var_os("HOME")) {
        (Some(rest), Some(home)) => Path::new(&home).join(rest),
        _ => PathBuf::from(path),
    }
}

fn public_key(private: &str) -> anyhow::Result<String> {
    let file = file(&format!("{private}.pub"));
    let text = fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}; `ssh-keygen -t ed25519 -f {private}` makes a key", file.display()))?;
    let key = text.trim();
    // It is in quotes in the script.
    let is_word = |char: char| char.is_ascii_alphanumeric() || "-_./:@+= ,".contains(char);
    if key.is_empty() || !key.chars().all(is_word) {
        bail!("{} is not a public key in one line", file.display());
    }
    Ok(key.to_owned())
}
