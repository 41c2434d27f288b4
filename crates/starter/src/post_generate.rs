//! What `post_generate` of `kennel.yaml` asks for, once files are written. Nothing else is run.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

/// Runs the steps in a project, in their order. `scripts` are the files that can be executable.
pub fn run<'s>(root: &Path, steps: &[String], scripts: impl Iterator<Item = &'s str>) -> anyhow::Result<()> {
    let scripts: Vec<_> = scripts.collect();
    for step in steps {
        let done = match step.as_str() {
            "git_install" => git_install(root),
            "git_initial_commit" => git_initial_commit(root),
            "executable_scripts" => executable_scripts(root, &scripts),
            "cargo_check" => succeeds(root, "cargo", &["check", "--workspace"]),
            other => bail!("post_generate: `{other}` is not known"),
        };
        done.with_context(|| format!("post_generate: {step}"))?;
    }
    Ok(())
}

fn git_install(root: &Path) -> anyhow::Result<()> {
    if is_true(root, &["rev-parse", "--git-dir"])? { Ok(()) } else { succeeds(root, "git", &["init", "-q"]) }
}

fn git_initial_commit(root: &Path) -> anyhow::Result<()> {
    if is_true(root, &["rev-parse", "--verify", "-q", "HEAD"])? {
        return Ok(());
    }
    succeeds(root, "git", &["add", "."])?;
    succeeds(root, "git", &["commit", "-q", "-m", "Generate the project"])
}

#[cfg(unix)]
fn executable_scripts(root: &Path, scripts: &[&str]) -> anyhow::Result<()> {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    for script in scripts {
        let path = root.join(script);
        // One that the user has deleted stays deleted.
        if path.is_file() {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).with_context(|| (*script).to_owned())?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn executable_scripts(_: &Path, _: &[&str]) -> anyhow::Result<()> {
    Ok(())
}

/// Whether a command of Git succeeds; what it prints does not matter.
fn is_true(root: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let mut git = Command::new("git");
    git.args(arguments).current_dir(root).stdout(Stdio::null()).stderr(Stdio::null());
    Ok(git.status().context("git cannot be started")?.success())
}

fn succeeds(root: &Path, program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    let status = Command::new(program).args(arguments).current_dir(root).status();
    let status = status.with_context(|| format!("{program} cannot be started"))?;
    if !status.success() {
        bail!("`{program} {}` failed", arguments.join(" "));
    }
    Ok(())
}
