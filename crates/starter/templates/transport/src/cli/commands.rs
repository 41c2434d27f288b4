//! The commands that `«path»` describes; `kennel generate` updates them after a change of the file.

use std::process::ExitCode;

use async_trait::async_trait;
use clap::«% if has_flags %»{Args, Subcommand}«% else %»Subcommand«% endif %»;
//% if uses_duration
use kennel_config::HumanDuration;
//% endif

/// The commands.
#[derive(Debug, Subcommand)]
pub enum «Name»Command {
//% for command in commands
    #[command(name = "«command.name»", about = «command.about»«% if command.group %», subcommand«% endif %»)]
    «command.variant»«% if command.content %»(«command.content»)«% endif %»,
//% endfor
}
//% for group in commands if group.group

/// The commands of `«group.name»`.
#[derive(Debug, Subcommand)]
pub enum «group.group» {
//% for command in group.commands
    #[command(name = "«command.name»", about = «command.about»)]
    «command.variant»«% if command.content %»(«command.content»)«% endif %»,
//% endfor
}
//% endfor
//% for leaf in leaves if leaf.flags

/// The flags of `«leaf.path»`.
#[derive(Debug, Args)]
//% if leaf.many_switches
#[expect(clippy::struct_excessive_bools, reason = "the command has this many switches")]
//% endif
pub struct «leaf.flags» {
//% for flag in leaf.all
    /// The flag `--«flag.name»`.
    #[arg(«flag.attributes»)]
    pub «flag.ident»: «flag.ty»,
//% endfor
}
//% endfor

/// What the commands do. A command returns its exit code; an error is reported, and the exit code is 1.
#[async_trait]
pub trait Commands: Send + Sync {
//% for leaf in leaves
    /// Runs `«leaf.path»`.
    async fn «leaf.fn»(&self«% if leaf.flags %», flags: «leaf.flags»«% endif %») -> anyhow::Result<ExitCode>;
//% endfor
}

/// Runs a command.
pub async fn run(commands: &impl Commands, command: «Name»Command) -> anyhow::Result<ExitCode> {
    match command {
//% for command in commands
//% if command.group
        «Name»Command::«command.variant»(command) => match command {
//% for inner in command.commands
            «command.group»::«inner.variant»«% if inner.content %»(flags)«% endif %» => commands.«inner.fn»(«% if inner.content %»«inner.unboxed»«% endif %»).await,
//% endfor
        },
//% else
        «Name»Command::«command.variant»«% if command.content %»(flags)«% endif %» => commands.«command.fn»(«% if command.content %»«command.unboxed»«% endif %»).await,
//% endif
//% endfor
    }
}
