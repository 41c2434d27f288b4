//! The command line: the same service without listeners.

pub mod args;
mod dlq;
mod dogs;
mod healthcheck;
mod import;
mod migrate;
mod out;
mod progress;
mod serve;
mod storage;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;

use dogs_domain::{DogError, DogRepository};
use kennel_config::{EX_USAGE, Environment, Loaded, Problem};
use kennel_telemetry::LogTarget;

use self::args::{Cli, Command, Config, Format};
use crate::backends::Backends;
use crate::config::DogsSettings;
use crate::contracts::{self, ContractError};

/// Runs the command; what goes wrong is told on standard error in one line for each cause.
///
/// Exit codes: 0 done; 1 not done, or not ready; 64 wrong configuration.
pub async fn run(cli: Cli) -> ExitCode {
    let environment = Environment::from_process();
    // These describe the build, not the configuration, which may be what is wrong.
    match cli.command {
        Command::Config(Config::Reference) => return printed(&crate::config::document()),
        Command::Openapi { format: Format::Json } => return printed_or(contracts::openapi_json()),
        Command::Openapi { format: Format::Yaml } => return printed_or(contracts::openapi_yaml()),
        Command::Asyncapi => return printed_or(contracts::asyncapi_yaml()),
        _ => {}
    }
    let loaded = match kennel_config::load::<DogsSettings>(&environment) {
        Ok(loaded) => loaded,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(EX_USAGE);
        }
    };
    match Box::pin(dispatch(cli.command, loaded)).await {
        Ok(code) => code,
        Err(error) if out::is_closed(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn dispatch(command: Command, loaded: Loaded<DogsSettings>) -> anyhow::Result<ExitCode> {
    match command {
        Command::Config(command) => {
            for warning in &loaded.warnings {
                eprintln!("warning: {warning}");
            }
            let fine = || "the configuration is fine".to_owned();
            let text = if matches!(command, Config::Print) { loaded.print() } else { fine() };
            return Ok(printed(&text));
        }
        Command::Healthcheck { url } => return healthcheck::run(&loaded.settings, url).await,
        _ => {}
    }
    let target = if matches!(command, Command::Serve(_)) { LogTarget::Stdout } else { LogTarget::Stderr };
    let telemetry = kennel_telemetry::init(&loaded.settings.telemetry(target))?;
    for Problem { location, message } in &loaded.warnings {
        tracing::warn!(setting = %location, reason = %message, "setting has no effect as it is");
    }
    let result = match command {
        Command::Storage(command) => storage::run(&loaded.settings.storage, command).await,
        command => Box::pin(with_backends(command, loaded.settings)).await,
    };
    telemetry.shutdown().await;
    result
}

/// Opens what the command uses, and runs it.
async fn with_backends(command: Command, settings: DogsSettings) -> anyhow::Result<ExitCode> {
    let backends = Backends::new(settings);
    match command {
        Command::Serve(options) => serve::run(backends, options.only.as_deref()).await,
        Command::Dlq(command) => dlq::run(&backends, command).await,
        Command::Migrate(command) => migrate::run(&backends, command).await,
        command => with_service(command, &backends).await,
    }
}

/// Runs a command on dogs. Those that only read need no cache, and the object store is opened by its first use.
async fn with_service(command: Command, backends: &Backends) -> anyhow::Result<ExitCode> {
    let stores = backends.current_store().await?;
    let result = async {
        let reads = matches!(command, Command::List(_) | Command::Export { .. });
        let dogs: Arc<dyn DogRepository> =
            if reads { Arc::clone(&stores.dogs) } else { backends.cache(&stores).await?.1 };
        let service = backends.service(dogs, backends.lazy_objects()?)?;
        match command {
            Command::Fetch { breed } => dogs::fetch(&service, &breed, &backends.settings.server.public_url()).await,
            Command::List(options) => dogs::list(&service, &options).await,
            Command::Import(options) => import::run(&service, &options).await,
            Command::Export { breed } => dogs::export(&service, breed.as_ref()).await,
            _ => unreachable!("these need no service and were dealt with"),
        }
    };
    let result = result.await.map_err(|error| named(backends, error));
    stores.close().await;
    result
}

/// The error with the name of what failed, where it says only that something did.
fn named(backends: &Backends, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(DogError::Repo(_)) => error.context(backends.store_name()),
        Some(DogError::Objects(_)) => error.context(backends.objects_name()),
        _ => error,
    }
}

fn printed(text: &str) -> ExitCode {
    match out::say(text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn printed_or(text: Result<String, ContractError>) -> ExitCode {
    match text {
        Ok(text) => printed(&text),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
