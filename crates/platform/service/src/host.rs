//! Several services in one process.

use std::marker::PhantomData;
use std::process::ExitCode;

use async_trait::async_trait;
use clap::{ArgMatches, FromArgMatches as _, Subcommand as _};
use kennel_config::{Environment, Loader, Problems, Secret};
use kennel_storage::StorageConfig;
use kennel_telemetry::LogTarget;

use crate::cli::{self, Cli, Config, Healthcheck, Serve};
use crate::output::{exit_code, print_text};
use crate::ports::{Ports, check_exposure, check_ports};
use crate::process::{ConfiguredService, Process};
use crate::scope::Scope;
use crate::settings::{ProcessSettings, ServiceSettings};
use crate::{BuildInfo, Service, Uses};

/// A service whose type is erased, for [`main_all`].
#[async_trait(?Send)]
pub trait ErasedService: Send + Sync {
    /// Its name.
    fn name(&self) -> &'static str;
    /// Its command line, as a subcommand of the process's.
    #[doc(hidden)]
    fn command(&self) -> clap::Command;
    /// Runs its command line.
    #[doc(hidden)]
    async fn run(&self, matches: &ArgMatches, build: BuildInfo, all: &[Box<dyn ErasedService>]) -> ExitCode;
    /// Makes its settings known to a command of another service.
    #[doc(hidden)]
    fn know(&self, loader: &mut Loader);
    /// The reference of its settings, as Markdown.
    #[doc(hidden)]
    fn reference(&self) -> String;
    /// Reads its settings.
    #[doc(hidden)]
    fn read(&self, loader: &mut Loader) -> LoadedService;
    /// The names of its components that `serve --only` can select.
    #[doc(hidden)]
    fn selectable(&self) -> Vec<&'static str>;
}

/// The settings of a service whose type is erased.
#[doc(hidden)]
pub struct LoadedService {
    name: &'static str,
    ports: Ports,
    /// Its store, if it uses one.
    storage: Option<StorageConfig>,
    context: CreateContext,
}

type CreateContext = Box<dyn FnOnce(&Process) -> anyhow::Result<Box<dyn ConfiguredService>>>;

/// A service for [`main_all`].
pub fn erased<S: Service>() -> Box<dyn ErasedService> {
    Box::new(Hosted::<S>(PhantomData))
}

struct Hosted<S>(PhantomData<fn() -> S>);

impl<S: Service> Hosted<S> {
    const SCOPE: Scope = Scope(Some(S::NAME));
}

#[async_trait(?Send)]
impl<S: Service> ErasedService for Hosted<S> {
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn command(&self) -> clap::Command {
        cli::command::<S>(Self::SCOPE)
    }

    async fn run(&self, matches: &ArgMatches, build: BuildInfo, all: &[Box<dyn ErasedService>]) -> ExitCode {
        let know = |loader: &mut Loader| all.iter().for_each(|service| service.know(loader));
        match Cli::<S::Command>::from_arg_matches(matches) {
            Ok(cli) => cli::run::<S>(cli.command, build, Self::SCOPE, know).await,
            Err(help) => cli::usage(&help),
        }
    }

    fn know(&self, loader: &mut Loader) {
        loader.know::<ServiceSettings<S>>(Some(S::NAME));
    }

    fn reference(&self) -> String {
        kennel_config::reference::<ServiceSettings<S>>()
    }

    fn read(&self, loader: &mut Loader) -> LoadedService {
        let settings: ServiceSettings<S> = loader.read(Some(S::NAME));
        LoadedService {
            name: S::NAME,
            ports: Ports::of::<S>(&settings.standard),
            storage: S::USES.includes(Uses::STORAGE).then(|| settings.standard.storage.clone()),
            context: Box::new(|process| Ok(Box::new(process.context::<S>(settings, Self::SCOPE)?))),
        }
    }

    fn selectable(&self) -> Vec<&'static str> {
        crate::serve::selectable::<S>(Self::SCOPE)
    }
}

/// The commands of the process itself. Each service adds its own command line as a further one.
#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Run all services.
    Serve(Serve),
    /// Check, print or describe the configuration of all services.
    #[command(subcommand)]
    Config(Config),
    /// Check whether the process is ready: exit code 0 when it is, 1 when it is not.
    Healthcheck(Healthcheck),
}

/// Runs several services in one process: one port for health and metrics, one shutdown, one report of all problems of the
/// configuration. In each layer, a setting of one service has its name as prefix, such as `NOTES_SERVER_PORT`, and priority
/// over the setting without it, which applies to all.
pub fn main_all(services: &[Box<dyn ErasedService>], build: BuildInfo) -> ExitCode {
    let names = services.iter().map(|service| service.name()).collect::<Vec<_>>().join(", ");
    let components = services.iter().flat_map(|service| service.selectable()).collect::<Vec<_>>().join(", ");
    let only = format!("Run only these components: {components}, sys; separated by commas");
    let command = Command::augment_subcommands(clap::Command::new(build.service))
        .version(build.version)
        .about(format!("Several services in one process: {names}"))
        .propagate_version(true)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .mut_subcommand("serve", |serve| serve.mut_arg("only", |arg| arg.help(only)))
        .subcommands(services.iter().map(|service| service.command()));
    let matches = match command.try_get_matches() {
        Ok(matches) => matches,
        Err(help) => return cli::usage(&help),
    };
    let selected = matches.subcommand();
    let own = selected.and_then(|(name, matches)| {
        services.iter().find(|service| service.name() == name).map(|service| (service, matches))
    });
    if let Some((service, matches)) = own {
        return cli::block_on(service.run(matches, build, services));
    }
    match Command::from_arg_matches(&matches) {
        Ok(command) => cli::block_on(run(services, command, build)),
        Err(help) => cli::usage(&help),
    }
}

async fn run(services: &[Box<dyn ErasedService>], command: Command, build: BuildInfo) -> ExitCode {
    if matches!(command, Command::Config(Config::Reference)) {
        return print_text(&reference(services));
    }
    let mut reader = Loader::new(&Environment::from_process());
    let process: ProcessSettings = reader.read(None);
    let settings: Vec<_> = services.iter().map(|service| service.read(&mut reader)).collect();
    reader.check(|problems| {
        let ports = settings.iter().map(|service| (Scope(Some(service.name)), service.ports.clone()));
        let ports: Vec<_> = ports.collect();
        check_ports(process.sys.prometheus_port, &ports, problems);
        check_exposure(process.server.server_host, &ports, problems);
        check_databases(&settings, problems);
    });
    let loaded = match cli::finish(reader, (process, settings)) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    match command {
        Command::Config(command) => cli::config(command, &loaded),
        Command::Healthcheck(Healthcheck { url }) => {
            exit_code(cli::healthcheck::run(&loaded.settings.0.sys, url).await)
        }
        Command::Serve(Serve { only }) => {
            let serve = async |(settings, services): (ProcessSettings, Vec<LoadedService>)| {
                let process = Process::new(settings, build);
                let services = services.into_iter().map(|service| (service.context)(&process));
                let services = services.collect::<anyhow::Result<_>>()?;
                process.serve(services, only.as_deref()).await
            };
            exit_code(cli::with_telemetry(loaded, build, LogTarget::Stdout, serve).await)
        }
    }
}

/// The settings of the process, and those of each service with the prefix of their variables.
fn reference(services: &[Box<dyn ErasedService>]) -> String {
    let process = kennel_config::reference::<ProcessSettings>();
    let services = services.iter().map(|service| {
        let prefix = Scope(Some(service.name())).key("").to_ascii_uppercase();
        format!(
            "\n# {}\n\nWith the prefix `{prefix}`, or without it for all services.\n\n{}",
            service.name(),
            service.reference()
        )
    });
    format!("# The process\n\n{process}{}", services.collect::<String>())
}

/// Each service has its own database: their migrations have the same numbers.
fn check_databases(services: &[LoadedService], problems: &mut Problems) {
    let stores = services.iter().filter_map(|service| Some((service.name, service.storage.as_ref()?)));
    let mut users: Vec<(&str, Secret)> = Vec::new();
    for (name, storage) in stores {
        let database = storage.identity(name);
        if let Some((other, _)) = users.iter().find(|(_, known)| known.expose() == database.expose()) {
            let key = Scope(Some(name)).key(storage.database_key());
            problems.add(&key, format!("must not be the database of {other}: each service has its own"));
        }
        users.push((name, database));
    }
}
