//! The commands that `cli/admin.yaml` describes; `kennel generate` updates them after a change of the file.

use std::process::ExitCode;

use async_trait::async_trait;
use clap::{Args, Subcommand};
use kennel_config::HumanDuration;

/// The commands.
#[derive(Debug, Subcommand)]
pub enum AdminCommand {
    #[command(name = "newest", about = "Print the newest items")]
    Newest(NewestFlags),
    #[command(name = "stock", about = "Change the stock", subcommand)]
    Stock(StockCommands),
    #[command(name = "verify", about = "Check that every item can be read")]
    Verify,
}

/// The commands of `stock`.
#[derive(Debug, Subcommand)]
pub enum StockCommands {
    #[command(name = "load", about = "Add the items of a file")]
    Load(StockLoadFlags),
    #[command(name = "purge", about = "Delete old items")]
    Purge(StockPurgeFlags),
}

/// The flags of `newest`.
#[derive(Debug, Args)]
pub struct NewestFlags {
    /// The flag `--limit`.
    #[arg(long = "limit", allow_negative_numbers = true, default_value = "10", help = "How many")]
    pub limit: i64,
    /// The flag `--json`.
    #[arg(long = "json", help = "Print JSON, one item in each line")]
    pub json: bool,
}

/// The flags of `stock load`.
#[derive(Debug, Args)]
pub struct StockLoadFlags {
    /// The flag `--file`.
    #[arg(long = "file", help = "The file")]
    pub file: String,
    /// The flag `--type`.
    #[arg(long = "type", default_value = "csv", help = "Its format")]
    pub r#type: String,
    /// The flag `--dry-run`.
    #[arg(long = "dry-run", help = "Change nothing, and print what would change")]
    pub dry_run: bool,
}

/// The flags of `stock purge`.
#[derive(Debug, Args)]
pub struct StockPurgeFlags {
    /// The flag `--older-than`.
    #[arg(long = "older-than", help = "The age of what is deleted")]
    pub older_than: HumanDuration,
    /// The flag `--ratio`.
    #[arg(
        long = "ratio",
        allow_negative_numbers = true,
        default_value = "0.5",
        help = "How much may be deleted at most"
    )]
    pub ratio: f64,
    /// The flag `--force`.
    #[arg(long = "force", action = clap::ArgAction::Set, help = "Whether to delete more than that")]
    pub force: bool,
}

/// What the commands do. A command returns its exit code; an error is reported, and the exit code is 1.
#[async_trait]
pub trait Commands: Send + Sync {
    /// Runs `newest`.
    async fn newest(&self, flags: NewestFlags) -> anyhow::Result<ExitCode>;
    /// Runs `stock load`.
    async fn stock_load(&self, flags: StockLoadFlags) -> anyhow::Result<ExitCode>;
    /// Runs `stock purge`.
    async fn stock_purge(&self, flags: StockPurgeFlags) -> anyhow::Result<ExitCode>;
    /// Runs `verify`.
    async fn verify(&self) -> anyhow::Result<ExitCode>;
}

/// Runs a command.
pub async fn run(commands: &impl Commands, command: AdminCommand) -> anyhow::Result<ExitCode> {
    match command {
        AdminCommand::Newest(flags) => commands.newest(flags).await,
        AdminCommand::Stock(command) => match command {
            StockCommands::Load(flags) => commands.stock_load(flags).await,
            StockCommands::Purge(flags) => commands.stock_purge(flags).await,
        },
        AdminCommand::Verify => commands.verify().await,
    }
}
