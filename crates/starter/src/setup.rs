//! `kennel setup`: the pipelines' variables and secrets, the servers, and the files of a deployment.
//!
//! The answers are in `setup.yaml`, which has no secret. They become [`Step`]s, which are shown and then run, if somebody
//! agrees. A secret is read when its step runs, and given to the program on its standard input.

mod answers;
mod ci;
mod deploy;
mod server;
mod step;

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::project::{self, CONFIG, Invalid};
use crate::prompt::Prompt;
use answers::Answers;
use step::Step;

/// The answers, in the folder of the project.
pub(crate) const FILE: &str = "setup.yaml";

/// What is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    /// Variables and secrets of the pipelines.
    Ci,
    /// The servers.
    Server,
    /// The files of a deployment.
    Deploy,
}

/// How to run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// Only show the steps.
    pub(crate) dry_run: bool,
    /// Run the steps without a question.
    pub(crate) yes: bool,
}

/// Sets up a part of the project at `root`. `answers` is a file with answers; without it and without `setup.yaml`, they are
/// asked for. Returns whether the steps ran.
pub(crate) fn run(
    root: &Path,
    part: Part,
    answers: Option<&Path>,
    options: Options,
    prompt: &mut Prompt<'_>,
) -> anyhow::Result<bool> {
    let input = project::read_input(&root.join(CONFIG))?;
    let stored = root.join(FILE);
    let answers = match answers {
        Some(file) => read(file)?,
        None if stored.exists() => read(&stored)?,
        None => {
            let text = answers::ask(prompt)?;
            store(root, &text, options, prompt)?;
            answers::parse(&text).map_err(|problems| invalid(&stored, problems))?
        }
    };
    let config = &input.config;
    let mut steps = match part {
        Part::Ci => ci::steps(&answers)?,
        Part::Server => server::steps(&answers, config)?,
        Part::Deploy => deploy::steps(root, &answers, config)?,
    };
    steps.retain(|step| !step.is_done());
    if steps.is_empty() {
        writeln!(prompt.output(), "nothing to do")?;
        return Ok(true);
    }
    for step in &steps {
        step.show(prompt.output())?;
    }
    if options.dry_run || !(options.yes || prompt.confirm(&format!("Do these {} steps", steps.len()), false)?) {
        return Ok(false);
    }
    for (number, step) in steps.iter().enumerate() {
        let context = || format!("step {} of {} failed; those before it are done", number + 1, steps.len());
        step.run(root).with_context(context)?;
    }
    Ok(true)
}

/// Writes answers in front of all other steps: if one of those cannot be made, nobody types the answers again.
fn store(root: &Path, text: &str, options: Options, prompt: &mut Prompt<'_>) -> anyhow::Result<()> {
    let step = Step::write(root, FILE, text)?;
    step.show(prompt.output())?;
    if !options.dry_run && (options.yes || prompt.confirm(&format!("Write {FILE}"), true)?) {
        step.run(root)?;
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Answers> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    Ok(answers::parse(&text).map_err(|problems| invalid(file, problems))?)
}

fn invalid(file: &Path, problems: Vec<crate::yaml::Problem>) -> Invalid {
    Invalid(problems.into_iter().map(|problem| (file.display().to_string(), problem)).collect())
}
