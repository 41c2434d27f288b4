//! A command or a file, which is shown before it is run or written.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};

/// What a program reads from its standard input.
#[derive(Debug, Clone)]
pub(super) enum Input {
    Nothing,
    Text(String),
    /// The secret of this name: a variable of the environment, or what somebody types.
    Secret(String),
    /// A file with a secret, such as a private key.
    SecretFile(PathBuf),
}

/// What is done.
#[derive(Debug, Clone)]
pub(super) enum Step {
    Run {
        program: &'static str,
        arguments: Vec<String>,
        input: Input,
        /// The arguments if it fails with the first ones.
        otherwise: Option<Vec<String>>,
    },
    Write {
        path: String,
        text: String,
        before: Option<String>,
        is_executable: bool,
    },
}

impl Step {
    pub(super) fn run_program(program: &'static str, arguments: &[&str], input: Input) -> Self {
        Self::Run { program, arguments: owned(arguments), input, otherwise: None }
    }

    pub(super) fn or(self, arguments: &[&str]) -> Self {
        match self {
            Self::Run { program, arguments: first, input, .. } => {
                Self::Run { program, arguments: first, input, otherwise: Some(owned(arguments)) }
            }
            write @ Self::Write { .. } => write,
        }
    }

    /// Writes a file of the project.
    pub(super) fn write(root: &Path, path: &str, text: &str) -> anyhow::Result<Self> {
        let before = match fs::read_to_string(root.join(path)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
        };
        let is_executable = text.starts_with("#!");
        Ok(Self::Write { path: path.to_owned(), text: text.to_owned(), before, is_executable })
    }

    pub(super) fn is_done(&self) -> bool {
        matches!(self, Self::Write { text, before: Some(before), .. } if before == text)
    }

    /// The command with what it reads, or the file with its content.
    pub(super) fn show(&self, out: &mut dyn Write) -> std::io::Result<()> {
        match self {
            Self::Run { program, arguments, input, otherwise } => {
                writeln!(out, "$ {program} {}", shown(arguments))?;
                if let Some(arguments) = otherwise {
                    writeln!(out, "  or, if that fails: {program} {}", shown(arguments))?;
                }
                match input {
                    Input::Nothing => Ok(()),
                    Input::Text(text) => text.lines().try_for_each(|line| writeln!(out, "  < {line}")),
                    Input::Secret(name) => writeln!(out, "  < the secret {name}"),
                    Input::SecretFile(file) => writeln!(out, "  < the secret in {}", file.display()),
                }
            }
            Self::Write { path, text, before, .. } => {
                let from = if before.is_some() { format!("a/{path}") } else { "/dev/null".to_owned() };
                let mut options = diffy::DiffOptions::new();
                options.set_original_filename(from).set_modified_filename(format!("b/{path}"));
                write!(out, "{}", options.create_patch(before.as_deref().unwrap_or_default(), text))
            }
        }
    }

    pub(super) fn run(&self, root: &Path) -> anyhow::Result<()> {
        match self {
            Self::Run { program, arguments, input, otherwise } => {
                let input = input.read()?;
                let is_done = execute(program, arguments, input.as_ref())?;
                let is_done = match otherwise {
                    Some(arguments) if !is_done => execute(program, arguments, input.as_ref())?,
                    _ => is_done,
                };
                if !is_done {
                    bail!("{program} {} failed", shown(arguments));
                }
                Ok(())
            }
            Self::Write { path, text, before, is_executable } => {
                let file = root.join(path);
                // It may have been saved since it was shown.
                if fs::read_to_string(&file).ok() != *before {
                    bail!("{path} was changed since it was shown");
                }
                fs::create_dir_all(file.parent().unwrap_or(root))?;
                fs::write(&file, text).with_context(|| format!("cannot write {path}"))?;
                if *is_executable {
                    make_executable(&file)?;
                }
                Ok(())
            }
        }
    }
}

impl Input {
    fn read(&self) -> anyhow::Result<Option<SecretString>> {
        match self {
            Self::Nothing => Ok(None),
            Self::Text(text) => Ok(Some(text.clone().into())),
            Self::Secret(name) => {
                if let Some(value) = env::var(name).ok().filter(|value| !value.is_empty()) {
                    return Ok(Some(value.into()));
                }
                let typed = rpassword::prompt_password(format!("{name} (it is not shown): "));
                let value = typed.with_context(|| format!("the variable {name} is not set, and nobody can type it"))?;
                if value.is_empty() {
                    bail!("{name} is empty");
                }
                Ok(Some(value.into()))
            }
            Self::SecretFile(file) => {
                let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
                Ok(Some(text.into()))
            }
        }
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().map(|argument| (*argument).to_owned()).collect()
}

/// As they would be typed.
fn shown(arguments: &[String]) -> String {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "-_./:=@,+".contains(char);
    let quote = |argument: &String| {
        if argument.chars().all(is_plain) && !argument.is_empty() {
            argument.clone()
        } else {
            format!("'{}'", argument.replace('\'', "'\\''"))
        }
    };
    arguments.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Whether the program succeeded.
fn execute(program: &str, arguments: &[String], input: Option<&SecretString>) -> anyhow::Result<bool> {
    let mut process = Command::new(program)
        .args(arguments)
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    if let (Some(mut pipe), Some(input)) = (process.stdin.take(), input) {
        // A program that fails may not read all of it; its exit code counts.
        match pipe.write_all(input.expose_secret().as_bytes()) {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error.into()),
            _ => {}
        }
    }
    Ok(process.wait()?.success())
}

#[cfg(unix)]
fn make_executable(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;

    fs::set_permissions(file, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_executable(_: &Path) -> std::io::Result<()> {
    Ok(())
}
