//! The commands of dogs: the same service without servers.

mod args;
mod dogs;
mod import;
mod progress_bar;
mod storage;

use std::process::ExitCode;
use std::sync::Arc;

use dogs_domain::{DogError, DogService};
use kennel_images::ImageProcessor;
use kennel_service::Context;

pub use self::args::DogsCommand;
use crate::Dogs;
use crate::service::{cached, domain_service, stores};

/// Runs the command.
pub(crate) async fn run(cx: &Context<Dogs>, command: DogsCommand) -> anyhow::Result<ExitCode> {
    let result = async {
        match command {
            DogsCommand::Fetch { breed } => {
                dogs::fetch(&service(cx, false).await?, &breed, &cx.standard.http.public_url()).await
            }
            DogsCommand::List(options) => dogs::list(&service(cx, true).await?, &options).await,
            DogsCommand::Import(options) => import::run(&service(cx, false).await?, &options).await,
            DogsCommand::Export { breed } => dogs::export(&service(cx, true).await?, breed.as_ref()).await,
            DogsCommand::Storage(command) => storage::run(&cx.standard.storage, command).await,
        }
    };
    result.await.map_err(|error| named(cx, error))
}

/// The domain service. Read-only commands need no cache; the object store is connected by its first call.
async fn service(cx: &Context<Dogs>, read_only: bool) -> anyhow::Result<DogService> {
    let stores = stores(cx).await?;
    let cached = if read_only { None } else { Some(cached(cx, &stores).await?) };
    let images = ImageProcessor::new(cx.config.images.image_memory_limit.0);
    domain_service(cx, &stores, cached.as_ref(), Arc::clone(cx.lazy_objects().await?), &images).await
}

/// Adds the name of the backend to an error that does not name it.
fn named(cx: &Context<Dogs>, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(DogError::Repo(_)) => error.context(cx.store_name()),
        Some(DogError::Objects(_)) => error.context(cx.objects_name()),
        _ => error,
    }
}
