//! What can be typed behind `dogs`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use dogs_domain::Breed;
use dogs_storages::Storage as Store;
use kennel_core::{BackendError, BackendKind, Order};
use uuid::Uuid;

/// Dogs by breed, over HTTP, gRPC and the command line.
#[derive(Debug, Parser)]
#[command(name = "dogs", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service.
    Serve(Serve),
    /// Change or show the database's schema.
    #[command(subcommand)]
    Migrate(Migrate),
    /// Fetch a random picture of a breed and keep it.
    Fetch {
        /// Such as `husky` or `hound-afghan`.
        breed: Breed,
    },
    /// List dogs, newest first.
    List(List),
    /// Import dogs from NDJSON, one object a line; going on where an interrupted import stopped.
    Import(Import),
    /// Write all dogs as NDJSON, oldest first, in the form that `import` reads; stored pictures stay behind.
    Export {
        /// Only dogs of this breed.
        #[arg(long)]
        breed: Option<Breed>,
    },
    /// Move from one store to another, and tell where two differ.
    #[command(subcommand)]
    Storage(Storage),
    /// Deal with events that could not be handled.
    #[command(subcommand)]
    Dlq(Dlq),
    /// Check, print or describe the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print the description of the HTTP API.
    Openapi {
        /// In which form.
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
    },
    /// Print the description of the events.
    Asyncapi,
    /// Ask a running service whether it is ready: exit code 0 when it is, 1 when it is not.
    Healthcheck {
        /// Where to ask; by default the metrics port of the configuration.
        #[arg(long)]
        url: Option<String>,
    },
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Run only these components, separated by commas.
    #[arg(long)]
    pub only: Option<String>,
}

/// Commands on the schema.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Migrate {
    /// Apply every migration that is not applied.
    Up,
    /// Take the newest migration back.
    Down,
    /// Show which migrations are applied.
    Status,
}

/// Options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only dogs of this breed.
    #[arg(long)]
    pub breed: Option<Breed>,
    /// How many, at most 1000.
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// In which order.
    #[arg(long, value_enum, default_value_t = Direction::Desc)]
    pub order: Direction,
    /// One JSON object a line instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file, or `-` for standard input.
    pub file: PathBuf,
    /// Names the import, so that it can be taken up again; by default a digest of the file. Needed with `-`.
    #[arg(long)]
    pub key: Option<String>,
    /// Write the refused lines to this file as NDJSON, instead of to standard error.
    #[arg(long)]
    pub errors: Option<PathBuf>,
}

/// Commands on two stores of one configuration, such as `--from postgres --to clickhouse`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Storage {
    /// Copy every dog, while the service runs, and verify the copy; going on where an interrupted copy stopped.
    Copy(Copy),
    /// Tell where two stores differ: exit code 0 when they do not, 1 when they do.
    Diff(Diff),
}

/// Two stores.
#[derive(Debug, Clone, Copy, Args)]
pub struct Ends {
    /// The store to read.
    #[arg(long, value_parser = part::<Store>)]
    pub from: Store,
    /// The other store.
    #[arg(long, value_parser = part::<Store>)]
    pub to: Store,
}

/// Options of `storage copy`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Copy {
    #[command(flatten)]
    pub ends: Ends,
    /// Then follow what happens to the dogs until SIGINT or SIGTERM, and verify after that.
    #[arg(long)]
    pub follow: bool,
    /// Let the other store lose dogs of its own.
    #[arg(long)]
    pub overwrite: bool,
}

/// Options of `storage diff`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Diff {
    #[command(flatten)]
    pub ends: Ends,
    /// How many differences are told; all are counted.
    #[arg(long, default_value_t = 100)]
    pub limit: u64,
}

fn part<P: BackendKind>(name: &str) -> Result<P, BackendError> {
    P::parse(name)
}

/// Commands on dead letters.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Dlq {
    /// List them.
    List {
        /// How many, at most 1000.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show one, with its event.
    Show {
        /// The event's id.
        id: Uuid,
    },
    /// Publish its event again, and forget it.
    Replay {
        /// The event's id.
        id: Uuid,
    },
    /// Forget it for good.
    Drop {
        /// The event's id.
        id: Uuid,
    },
}

/// Commands on the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Config {
    /// Report every problem; exit code 64 when there is one.
    Check,
    /// Print every setting, its value and where it comes from; secrets as `***`.
    Print,
    /// Describe every setting, as Markdown.
    Reference,
}

/// Which way a listing runs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Direction {
    /// Oldest first.
    Asc,
    /// Newest first.
    Desc,
}

impl From<Direction> for Order {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Asc => Self::Ascending,
            Direction::Desc => Self::Descending,
        }
    }
}

/// The form of a document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
