//! The files of a deployment by Compose: a service per application, a script that rolls it out, and the pipeline that runs it.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::path::Path;

use anyhow::ensure;

use super::answers::{Answers, Environment};
use super::step::Step;
use crate::config::Config;

const SCRIPT: &str = include_str!("../../templates/setup/deploy.sh");
const GITHUB: &str = include_str!("../../templates/setup/github.yml");
const GITLAB: &str = include_str!("../../templates/setup/gitlab.yml");

pub(super) fn steps(root: &Path, answers: &Answers, config: &Config) -> anyhow::Result<Vec<Step>> {
    // Images are built from the Dockerfile, which other projects do not have.
    anyhow::ensure!(config.platform.git.is_some(), "a deployment needs platform.git");
    let (path, pipeline) = match answers.provider.as_str() {
        "github" => (".github/workflows/deploy.yml", github(answers)),
        _ => (".gitlab/deploy.yml", gitlab(answers)),
    };
    let applications: Vec<_> = config.services().map(|application| application.name.as_str()).collect();
    ensure!(!applications.is_empty(), "there is nothing to deploy: every application is a command line");
    let script = SCRIPT.replace("«project»", &config.main.name).replace("«applications»", &applications.join(" "));
    Ok(vec![
        Step::write(root, "deploy/compose.yaml", &compose(config)?)?,
        Step::write(root, "deploy/deploy.sh", &script)?,
        Step::write(root, path, &pipeline)?,
    ])
}

/// Settings of the applications are in `.env` next to the file on the server, which nobody here writes.
fn compose(config: &Config) -> Result<String, fmt::Error> {
    // With SQLite, all programs use one file: in the volume of the first, which it also has while it is the only one.
    let first = config.services().next().map(|application| application.name.as_str());
    let shared = first.filter(|_| config.storage[0] == "sqlite");
    let mut text = "# Written by `kennel setup deploy`. The settings of the applications are in the file .env on the server.\nservices:\n".to_owned();
    for (number, application) in config.services().enumerate() {
        let name = &application.name;
        writeln!(text, "  {name}:\n    image: \"${{REGISTRY:?}}/{name}:${{TAG:?}}\"")?;
        text.push_str("    command: [\"serve\"]\n    restart: \"unless-stopped\"\n");
        text.push_str("    env_file: [{path: \".env\", required: false}]\n");
        // Outside, only the reverse proxy of the server reaches them.
        let base = 18_000 + number * 10;
        let mut ports = Vec::new();
        if config.rest_of(application).is_some() {
            ports.push(format!("\"127.0.0.1:{base}:8080\""));
        }
        if config.grpc_of(application).is_some() {
            ports.push(format!("\"127.0.0.1:{}:50051\"", base + 1));
        }
        if !ports.is_empty() {
            writeln!(text, "    ports: [{}]", ports.join(", "))?;
        }
        let volume = shared.unwrap_or(name);
        writeln!(text, "    volumes: [\"{volume}:/data\"]\n    init: true\n    stop_grace_period: \"40s\"")?;
    }
    text.push_str("volumes:\n");
    let names = config.services().map(|application| application.name.as_str());
    for volume in names.map(|name| shared.unwrap_or(name)).collect::<BTreeSet<_>>() {
        writeln!(text, "  {volume}: {{}}")?;
    }
    Ok(text)
}

fn github(answers: &Answers) -> String {
    let branches: Vec<_> = answers.environments.iter().map(|known| format!("{:?}", known.branch)).collect();
    let environment = answers.environments.iter().rev().fold(String::new(), |rest, known| {
        if rest.is_empty() {
            format!("'{}'", known.name)
        } else {
            format!("github.ref_name == '{}' && '{}' || {rest}", known.branch, known.name)
        }
    });
    GITHUB.replace("«branches»", &branches.join(", ")).replace("«environment»", &environment)
}

fn gitlab(answers: &Answers) -> String {
    let job = |known: &Environment| {
        format!(
            "\ndeploy-{name}:\n  extends: \".deploy\"\n  environment: {{name: \"{name}\"}}\n  rules: [{{if: \"$CI_COMMIT_BRANCH == '{branch}'\"}}]\n",
            name = known.name,
            branch = known.branch
        )
    };
    GITLAB.to_owned() + &answers.environments.iter().map(job).collect::<Vec<_>>().concat()
}
