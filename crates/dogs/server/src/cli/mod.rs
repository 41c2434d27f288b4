//! The command line: the same service without listeners.

pub mod args;
mod dlq;
mod dogs;
mod healthcheck;
mod import;
mod migrate;
mod output;
mod progress_bar;
mod serve;
mod storage;

use std::io::ErrorKind;
use std::process::ExitCode;
use std::sync::Arc;

use dogs_domain::DogError;
use dogs_storages::CachedDogImports;
use kennel_config::{EX_USAGE, Environment, Loaded, Problem};
use kennel_telemetry::{LogTarget, Process};

use self::args::{Cli, Command, Config, Format};
use crate::backends::Backends;
use crate::config::DogsSettings;
use crate::contracts::{self, ContractError};

/// Runs the command. Reports an error on standard error.
///
/// Exit codes: 0 success; 1 failure, or not ready; 64 invalid configuration.
pub async fn run(cli: Cli) -> ExitCode {
    let environment = Environment::from_process();
    // These describe the build, so they also work when the configuration is invalid.
    match cli.command {
        Command::Config(Config::Reference) => return print_text(&crate::config::document()),
        Command::Openapi { format: Format::Json } => return print_result(contracts::openapi_json()),
        Command::Openapi { format: Format::Yaml } => return print_result(contracts::openapi_yaml()),
        Command::Asyncapi => return print_result(contracts::asyncapi_yaml()),
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
        Err(error) if output::is_closed(&error) => ExitCode::SUCCESS,
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
            let valid = || "the configuration is valid".to_owned();
            let text = if matches!(command, Config::Print) { loaded.print() } else { valid() };
            return Ok(print_text(&text));
        }
        Command::Healthcheck { url } => return healthcheck::run(&loaded.settings, url).await,
        _ => {}
    }
    let target = if matches!(command, Command::Serve(_)) { LogTarget::Stdout } else { LogTarget::Stderr };
    let process = Process { name: crate::NAME, version: env!("CARGO_PKG_VERSION"), log_target: target };
    let telemetry = kennel_telemetry::init(&loaded.settings.telemetry, &loaded.settings.otel, &process)?;
    for Problem { location, message } in &loaded.warnings {
        tracing::warn!(setting = %location, reason = %message, "setting is ignored");
    }
    let result = match command {
        Command::Storage(command) => storage::run(&loaded.settings.storage, command).await,
        command => Box::pin(with_backends(command, loaded.settings)).await,
    };
    telemetry.shutdown().await;
    result
}

/// Opens the backends that the command uses, and runs it.
async fn with_backends(command: Command, settings: DogsSettings) -> anyhow::Result<ExitCode> {
    let backends = Backends::new(settings);
    match command {
        Command::Serve(options) => Box::pin(serve::run(backends, options.only.as_deref())).await,
        Command::Dlq(command) => dlq::run(&backends, command).await,
        Command::Migrate(command) => migrate::run(&backends, command).await,
        command => with_service(command, &backends).await,
    }
}

/// Runs a command on dogs. Read-only commands need no cache; the object store is opened on first use.
async fn with_service(command: Command, backends: &Backends) -> anyhow::Result<ExitCode> {
    let stores = backends.current_store().await?;
    let result = async {
        let read_only = matches!(command, Command::List(_) | Command::Export { .. });
        let objects = backends.lazy_objects()?;
        let service = if read_only {
            backends.service(Arc::clone(&stores.dogs), Arc::clone(&stores.imports), objects)?
        } else {
            let (_, cached) = backends.cache(&stores).await?;
            let imports = CachedDogImports::new(Arc::clone(&stores.imports), Arc::clone(&cached));
            backends.service(cached, Arc::new(imports), objects)?
        };
        match command {
            Command::Fetch { breed } => dogs::fetch(&service, &breed, &backends.settings.http.public_url()).await,
            Command::List(options) => dogs::list(&service, &options).await,
            Command::Import(options) => import::run(&service, &options).await,
            Command::Export { breed } => dogs::export(&service, breed.as_ref()).await,
            _ => unreachable!("commands without the service are handled by the callers"),
        }
    };
    let result = result.await.map_err(|error| named(backends, error));
    stores.database.close().await;
    result
}

/// Adds the name of the backend to an error that does not name it.
fn named(backends: &Backends, error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(DogError::Repo(_)) => error.context(backends.store_name()),
        Some(DogError::Objects(_)) => error.context(backends.objects_name()),
        _ => error,
    }
}

fn print_text(text: &str) -> ExitCode {
    match output::print_line(text.trim_end()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

fn print_result(text: Result<String, ContractError>) -> ExitCode {
    match text {
        Ok(text) => print_text(&text),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
