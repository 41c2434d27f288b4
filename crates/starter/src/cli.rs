//! The command line.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{fs, io};

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::project::{self, CONFIG, Invalid, Project};
use crate::prompt::Prompt;
use crate::update::Update;
use crate::{describe, import, merge, post_generate, setup, wizard};

/// Exit codes, besides 0: conflicts; files that `generate` would change; invalid arguments or configuration; other failures.
const CONFLICTS: u8 = 1;
const OUT_OF_DATE: u8 = 2;
const INVALID: u8 = 64;
const FAILED: u8 = 70;

/// Generates services on the platform Kennel, and updates them without losing your changes.
///
/// Exit codes: 0 success, 1 conflicts, 2 out of date (`generate --dry-run`), 64 invalid arguments or kennel.yaml, 70 other failures.
#[derive(Parser)]
#[command(name = "kennel", version)]
struct Arguments {
    /// The folder of the project.
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    project: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Create a project in a new or empty folder.
    New {
        /// The folder.
        folder: PathBuf,
        /// A file that becomes the project's kennel.yaml. Without it, the answers are asked for.
        #[arg(long)]
        answers: Option<PathBuf>,
    },
    /// Set up the pipelines, the servers, or a deployment: show what would be done, ask, and do it.
    Setup {
        /// What to set up.
        part: SetupPart,
        /// A file with the answers; default: setup.yaml of the project, which is asked for if there is none.
        #[arg(long)]
        answers: Option<PathBuf>,
        /// Only show what would be done.
        #[arg(long)]
        dry_run: bool,
        /// Do it without a question.
        #[arg(long)]
        yes: bool,
    },
    /// Print the kennel.yaml for a project of another generator, and what differs on the standard error.
    Import {
        /// The other generator.
        from: Generator,
        /// Its configuration.
        file: PathBuf,
    },
    /// Update the generated files, and merge the changes with yours.
    Generate {
        /// Print the differences instead; nothing is written.
        #[arg(long)]
        dry_run: bool,
    },
    /// Check kennel.yaml, and print all its problems.
    Check,
    /// Print the JSON Schema of kennel.yaml, or of a file that it refers to.
    Schema {
        /// The file.
        #[arg(default_value = "kennel", value_parser = describe::FILES.iter().map(|(name, ..)| *name).collect::<Vec<_>>())]
        of: String,
    },
    /// Print the reference of all keys, as Markdown.
    Reference,
    /// Explain a key, such as `rest.port`.
    Explain {
        /// The path of the key.
        key: String,
    },
    /// Show which generated files you have changed or deleted.
    Drift {
        /// Print the differences.
        #[arg(long)]
        diff: bool,
    },
    /// Take over a generated file, or those in a folder: it is not updated any more.
    Eject {
        /// Its path in the project.
        path: String,
    },
    /// Print the script that completes commands in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// What can be set up.
#[derive(Clone, Copy, ValueEnum)]
enum SetupPart {
    /// Variables and secrets of the pipelines, by `gh` or `glab`.
    Ci,
    /// The servers, by `ssh`.
    Server,
    /// Compose file, script and pipeline of a deployment.
    Deploy,
}

/// A generator whose projects can be imported.
#[derive(Clone, Copy, ValueEnum)]
enum Generator {
    GoProjectStarter,
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_failure = error.use_stderr();
            error.print().ok();
            return ExitCode::from(if is_failure { INVALID } else { 0 });
        }
    };
    match run(&arguments, &mut io::stdout().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => ExitCode::from(report(&error)),
    }
}

fn report(error: &anyhow::Error) -> u8 {
    if let Some(invalid) = error.downcast_ref::<Invalid>() {
        for (file, problem) in &invalid.0 {
            eprintln!("{file}:{problem}");
        }
        eprintln!("error: {invalid}");
        return INVALID;
    }
    // The reader of a pipe may end first.
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return 0;
    }
    eprintln!("error: {error:#}");
    FAILED
}

fn run(arguments: &Arguments, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let root = &arguments.project;
    match &arguments.command {
        Command::New { folder, answers } => create(folder, answers.as_deref(), out),
        Command::Setup { part, answers, dry_run, yes } => {
            let part = match part {
                SetupPart::Ci => setup::Part::Ci,
                SetupPart::Server => setup::Part::Server,
                SetupPart::Deploy => setup::Part::Deploy,
            };
            let options = setup::Options { dry_run: *dry_run, yes: *yes };
            setup::run(root, part, answers.as_deref(), options, &mut Prompt::new(&mut io::stdin().lock(), out))?;
            Ok(0)
        }
        Command::Import { from: Generator::GoProjectStarter, file } => import_project(file, out),
        Command::Generate { dry_run: false } => generate(root, out),
        Command::Generate { dry_run: true } => dry_run(root, out),
        Command::Check => {
            project::read_input(&root.join(CONFIG))?;
            writeln!(out, "{CONFIG} is valid")?;
            Ok(0)
        }
        Command::Schema { of } => {
            let found = describe::FILES.iter().filter(|(name, ..)| name == of);
            print(out, &found.map(describe::json_schema).collect::<String>())
        }
        Command::Reference => print(out, &describe::reference()),
        Command::Explain { key } => match describe::explain(key) {
            Ok(text) => print(out, &text),
            Err(message) => {
                eprintln!("error: {message}");
                Ok(INVALID)
            }
        },
        Command::Drift { diff } => drift(root, *diff, out),
        Command::Eject { path } => {
            let mut project = open(root)?;
            let paths = project.eject(path)?;
            report_skipped(&project);
            for path in paths {
                writeln!(out, "{path}: yours now; kennel does not update it any more")?;
            }
            Ok(0)
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Arguments::command(), "kennel", &mut script);
            out.write_all(&script)?;
            Ok(0)
        }
    }
}

fn create(folder: &Path, answers: Option<&Path>, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let update = if let Some(file) = answers {
        project::create(folder, file)?
    } else {
        project::check_new(folder)?;
        let mut input = io::stdin().lock();
        let mut prompt = Prompt::new(&mut input, out);
        let text = wizard::ask(&mut prompt, folder)?;
        writeln!(prompt.output(), "\n{CONFIG}:\n{text}")?;
        if !prompt.confirm(&format!("Create {}", folder.display()), true)? {
            return Ok(0);
        }
        project::create_from(folder, Path::new(CONFIG), text)?
    };
    writeln!(out, "created {} with {} files", folder.display(), update.changes.len())?;
    after(folder, &update)?;
    Ok(0)
}

/// Somebody has to decide about what has no counterpart, as after a conflict.
fn import_project(file: &Path, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let name = file.display().to_string();
    let import = import::go_project_starter(&text)
        .map_err(|problems| Invalid(problems.into_iter().map(|problem| (name.clone(), problem)).collect()))?;
    for finding in &import.findings {
        eprintln!("{name}:{finding}");
    }
    for problem in &import.problems {
        eprintln!("{CONFIG}:{}:{}: problem: {}", problem.position.line, problem.position.column, problem.message);
    }
    out.write_all(import.text.as_bytes())?;
    let is_complete = import.problems.is_empty() && import.findings.iter().all(|finding| !finding.is_lost);
    Ok(if is_complete { 0 } else { CONFLICTS })
}

fn print(out: &mut impl io::Write, text: &str) -> anyhow::Result<u8> {
    out.write_all(text.as_bytes())?;
    Ok(0)
}

fn open(root: &Path) -> anyhow::Result<Project> {
    let project = Project::open(root)?;
    report_skipped(&project);
    Ok(project)
}

fn report_skipped(project: &Project) {
    for path in &project.skipped {
        eprintln!("warning: {path}: changed during an update, and stays as it is, without what the update has for it");
    }
}

fn generate(root: &Path, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let mut project = open(root)?;
    let plan = project.plan()?;
    let update = project.apply(plan)?;
    report_skipped(&project);
    let code = print_events(&update, out)?;
    if update.changes.is_empty() && code == 0 {
        writeln!(out, "up to date")?;
    }
    if !update.changes.is_empty() && code == 0 {
        after(root, &update)?;
    }
    Ok(code)
}

/// Runs `post_generate`.
fn after(root: &Path, update: &Update) -> anyhow::Result<()> {
    let steps = project::read_input(&root.join(CONFIG))?.config.post_generate;
    let scripts = update.base.iter().filter(|(_, pristine)| pristine.text.starts_with("#!"));
    post_generate::run(root, &steps, scripts.map(|(path, _)| path.as_str()))
}

fn dry_run(root: &Path, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let project = Project::inspect(root)?;
    let update = project.plan()?.update;
    for (path, content) in &update.changes {
        print_diff(out, path, project.read(path).as_deref(), content.as_deref())?;
    }
    let code = print_events(&update, out)?;
    Ok(if code == 0 && !update.changes.is_empty() { OUT_OF_DATE } else { code })
}

/// Returns the exit code.
fn print_events(update: &Update, out: &mut impl io::Write) -> anyhow::Result<u8> {
    for (path, event) in &update.events {
        writeln!(out, "{path}: {event}")?;
    }
    Ok(if update.events.iter().any(|(_, event)| event.is_conflict()) { CONFLICTS } else { 0 })
}

fn drift(root: &Path, diff: bool, out: &mut impl io::Write) -> anyhow::Result<u8> {
    let project = Project::inspect(root)?;
    for (path, (pristine, current)) in project.drift() {
        match &current {
            _ if diff => print_diff(out, &path, Some(pristine.as_bytes()), current.as_deref())?,
            None => writeln!(out, "{path}: deleted")?,
            Some(current) if merge::has_conflict(&String::from_utf8_lossy(current)) => {
                writeln!(out, "{path}: has unresolved conflict markers")?;
            }
            Some(_) => writeln!(out, "{path}: changed")?,
        }
    }
    Ok(0)
}

fn print_diff(out: &mut impl io::Write, path: &str, old: Option<&[u8]>, new: Option<&[u8]>) -> io::Result<()> {
    let name = |side: &str, content: Option<&[u8]>| {
        if content.is_some() { format!("{side}/{path}") } else { "/dev/null".to_owned() }
    };
    let (from, to) = (name("a", old), name("b", new));
    let [old, new] = [old, new].map(|content| String::from_utf8_lossy(content.unwrap_or_default()));
    let mut options = diffy::DiffOptions::new();
    options.set_original_filename(from).set_modified_filename(to);
    write!(out, "{}", options.create_patch(&old, &new))
}
