//! The commands of the service.

use std::process::ExitCode;

use clap::Subcommand;
use gifs_domain::catalogue::{CatalogueService, FindRequest, Rating, SearchText, Wanted};
use kennel_service::output::print_line;

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum GifStorageCommand {
    /// Search for GIFs at the providers, add them to the catalogue, and print them.
    Search {
        /// What to search for.
        text: SearchText,
        /// Maximum number of GIFs.
        #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u32).range(1..=50))]
        limit: u32,
    },
}

pub(crate) async fn run(catalogue: &CatalogueService, command: GifStorageCommand) -> anyhow::Result<ExitCode> {
    let GifStorageCommand::Search { text, limit: size } = command;
    let wanted = Wanted::Search(text);
    let request = FindRequest { wanted, rating: Rating::default(), language: None, size, position: 0 };
    for gif in catalogue.find(request, None).await?.gifs {
        let (state, provider) = (gif.state.name(), gif.key.provider);
        print_line(format_args!("{}  {state:<8}  {provider:<10}  {}", gif.id, gif.details.title))?;
    }
    Ok(ExitCode::SUCCESS)
}
