//! The arguments of the commands of dogs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use dogs_domain::Breed;
use kennel_core::{BackendError, BackendKind, Order};
use kennel_storage::Storage as Store;

/// A command of dogs.
#[derive(Debug, Subcommand)]
pub enum DogsCommand {
    /// Fetch a random image of a breed and store it.
    Fetch {
        /// Such as `husky` or `hound-afghan`.
        breed: Breed,
    },
    /// List dogs, newest first.
    List(List),
    /// Import dogs from NDJSON, one object per line; resumes an interrupted import.
    Import(Import),
    /// Write all dogs as NDJSON, oldest first, in the format that `import` reads; without stored images.
    Export {
        /// Only dogs of this breed.
        #[arg(long)]
        breed: Option<Breed>,
    },
    /// Copy one store to another, and compare two stores.
    #[command(subcommand)]
    Storage(Storage),
}

/// Options of `list`.
#[derive(Debug, Args)]
pub struct List {
    /// Only dogs of this breed.
    #[arg(long)]
    pub breed: Option<Breed>,
    /// Maximum number of dogs to print, up to 1000.
    #[arg(long, default_value_t = 20)]
    pub limit: u32,
    /// The order by age.
    #[arg(long, value_enum, default_value_t = Direction::Desc)]
    pub order: Direction,
    /// Print one JSON object per line instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The file, or `-` for standard input.
    pub file: PathBuf,
    /// The key that identifies the import, so that it can be resumed; by default a digest of the file. Required with `-`.
    #[arg(long)]
    pub key: Option<String>,
    /// Write the rejected lines to this file as NDJSON, instead of to standard error.
    #[arg(long)]
    pub errors: Option<PathBuf>,
}

/// Commands for two stores of one configuration, such as `--from postgres --to clickhouse`.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Storage {
    /// Copy all dogs while the service runs, and verify the copy; resumes an interrupted copy.
    Copy(Copy),
    /// Print the differences between two stores: exit code 0 when there are none, 1 when there are some.
    Diff(Diff),
}

/// Two stores.
#[derive(Debug, Clone, Copy, Args)]
pub struct StorePair {
    /// The store to read.
    #[arg(long, value_parser = parse_backend::<Store>)]
    pub from: Store,
    /// The other store.
    #[arg(long, value_parser = parse_backend::<Store>)]
    pub to: Store,
}

/// Options of `storage copy`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Copy {
    #[command(flatten)]
    pub pair: StorePair,
    /// After copying, apply later changes until SIGINT or SIGTERM, and then verify.
    #[arg(long)]
    pub follow: bool,
    /// Replace dogs that the other store already has.
    #[arg(long)]
    pub overwrite: bool,
}

/// Options of `storage diff`.
#[derive(Debug, Clone, Copy, Args)]
pub struct Diff {
    #[command(flatten)]
    pub pair: StorePair,
    /// Maximum number of differences to print; the total is always reported.
    #[arg(long, default_value_t = 100)]
    pub limit: u64,
}

fn parse_backend<P: BackendKind>(name: &str) -> Result<P, BackendError> {
    P::parse(name)
}

/// The order of a list.
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
