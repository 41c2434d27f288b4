//! The command line of a service.

mod dlq;
pub(crate) mod healthcheck;
mod migrate;

use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use kennel_config::{EX_USAGE, Environment, Loaded, Loader, Problem};
use kennel_telemetry::{LogTarget, Process as ProcessName};

use self::dlq::Dlq;
use self::migrate::Migrate;
use crate::output::{exit_code, print_text};
use crate::ports::{Ports, check_exposure, check_ports};
use crate::process::Process;
use crate::scope::Scope;
use crate::settings::{ProcessSettings, ServiceSettings};
use crate::{BuildInfo, Service, Uses, contracts};

/// The arguments of a service's program.
#[derive(Debug, Parser)]
#[command(propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli<C: Subcommand> {
    /// The command to run.
    #[command(subcommand)]
    pub(crate) command: Command<C>,
}

/// A command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command<C: Subcommand> {
    /// Run the service.
    Serve(Serve),
    /// Change or show the database's schema.
    #[command(subcommand)]
    Migrate(Migrate),
    /// List, show, replay and drop dead letters.
    #[command(subcommand)]
    Dlq(Dlq),
    /// Check, print or describe the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print the OpenAPI description of the HTTP API.
    Openapi {
        /// The output format.
        #[arg(long, value_enum, default_value_t = Format::Json)]
        format: Format,
    },
    /// Print the AsyncAPI description of the events.
    Asyncapi,
    /// Check whether a running service is ready: exit code 0 when it is, 1 when it is not.
    Healthcheck(Healthcheck),
    #[command(flatten)]
    Own(C),
}

/// Options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Run only these components, separated by commas.
    #[arg(long)]
    pub(crate) only: Option<String>,
}

/// Options of `healthcheck`.
#[derive(Debug, Args)]
pub(crate) struct Healthcheck {
    /// The URL to request; by default `/ready` at the configured metrics port.
    #[arg(long)]
    pub(crate) url: Option<String>,
}

/// Commands for the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Config {
    /// Report every problem; exit code 64 when there is one.
    Check,
    /// Print every setting with its value and its source; secrets as `***`.
    Print,
    /// Describe every setting, as Markdown.
    Reference,
}

/// The format of a document.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    /// JSON.
    Json,
    /// YAML.
    Yaml,
}

/// The command line of a service: its standard commands, and its own. Its help leaves out what the service has nothing for.
pub(crate) fn command<S: Service>(scope: Scope) -> clap::Command {
    let components = crate::serve::selectable::<S>(scope).join(", ");
    let only = format!("Run only these components: {components}, sys; separated by commas");
    let has_schema = S::USES.includes(Uses::STORAGE);
    let has_consumers = S::USES.includes(Uses::STORAGE.and(Uses::BROKER));
    Cli::<S::Command>::command()
        .name(S::NAME)
        .about(S::ABOUT)
        .mut_subcommand("serve", |serve| serve.mut_arg("only", |arg| arg.help(only)))
        .mut_subcommand("migrate", |migrate| migrate.hide(!has_schema))
        .mut_subcommand("dlq", |dlq| dlq.hide(!has_consumers))
}

/// Runs the program of a service. Reports an error on standard error.
///
/// Exit codes: 0 success; 1 failure, or not ready; 64 invalid arguments or configuration.
pub fn main<S: Service>(build: BuildInfo) -> ExitCode {
    let command = command::<S>(Scope(None)).version(build.version);
    let parsed = command.try_get_matches().and_then(|matches| Cli::<S::Command>::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => block_on(run::<S>(cli.command, build, Scope(None), |_| {})),
        Err(help) => usage(&help),
    }
}

/// Prints help, or what is wrong with the arguments.
pub(crate) fn usage(help: &clap::Error) -> ExitCode {
    let code = if help.use_stderr() { EX_USAGE } else { 0 };
    // A closed terminal cannot be reported anywhere.
    drop(help.print());
    ExitCode::from(code)
}

pub(crate) fn block_on(run: impl Future<Output = ExitCode>) -> ExitCode {
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let code = runtime.block_on(run);
            // Tasks that hang past the deadline must not block the exit.
            runtime.shutdown_background();
            code
        }
        Err(error) => {
            eprintln!("error: cannot start the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs a command of a service. `know` makes the settings of the other services of the process known.
pub(crate) async fn run<S: Service>(
    command: Command<S::Command>,
    build: BuildInfo,
    scope: Scope,
    know: impl FnOnce(&mut Loader),
) -> ExitCode {
    // These describe the build, so they also work when the configuration is invalid.
    let described = match &command {
        Command::Config(Config::Reference) => Some(Ok(contracts::configuration::<S>())),
        Command::Openapi { format: Format::Json } => Some(contracts::openapi_json::<S>()),
        Command::Openapi { format: Format::Yaml } => Some(contracts::openapi_yaml::<S>()),
        Command::Asyncapi => Some(contracts::asyncapi_yaml::<S>(build.version)),
        _ => None,
    };
    if let Some(text) = described {
        return exit_code(text.map(|text| print_text(&text)).map_err(Into::into));
    }
    let mut reader = Loader::new(&Environment::from_process());
    know(&mut reader);
    let settings: (ProcessSettings, ServiceSettings<S>) = (reader.read(None), reader.read(scope.0));
    let ports = Ports::of::<S>(&settings.1.standard);
    reader.check(|problems| {
        let services = [(scope, ports)];
        check_ports(settings.0.sys.prometheus_port, &services, problems);
        check_exposure(settings.0.server.server_host, &services, problems);
    });
    let loaded = match finish(reader, settings) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Command::Config(command) = command {
        return config(command, &loaded);
    }
    if let Command::Healthcheck(Healthcheck { url }) = command {
        return exit_code(healthcheck::run(&loaded.settings.0.sys, url).await);
    }
    let target = if matches!(command, Command::Serve(_)) { LogTarget::Stdout } else { LogTarget::Stderr };
    exit_code(
        with_telemetry(loaded, build, target, async |(process, service)| {
            Box::pin(execute::<S>(command, Process::new(process, build), service, scope)).await
        })
        .await,
    )
}

/// Ends loading. Reports all problems of the configuration on standard error.
pub(crate) fn finish<T>(loader: Loader, settings: T) -> Result<Loaded<T>, ExitCode> {
    loader.finish(settings).map_err(|errors| {
        eprintln!("{errors}");
        ExitCode::from(EX_USAGE)
    })
}

/// Reports on the configuration, which is valid.
pub(crate) fn config<T>(command: Config, loaded: &Loaded<T>) -> ExitCode {
    for warning in &loaded.warnings {
        eprintln!("warning: {warning}");
    }
    match command {
        Config::Print => print_text(&loaded.print()),
        Config::Check => print_text("the configuration is valid"),
        Config::Reference => unreachable!("it needs no valid configuration, and the callers have printed it"),
    }
}

/// Runs `command` with logs and traces, and flushes them.
pub(crate) async fn with_telemetry<T>(
    loaded: Loaded<(ProcessSettings, T)>,
    build: BuildInfo,
    log_target: LogTarget,
    command: impl AsyncFnOnce((ProcessSettings, T)) -> anyhow::Result<ExitCode>,
) -> anyhow::Result<ExitCode> {
    let name = ProcessName { name: build.service, version: build.version, log_target };
    let process = &loaded.settings.0;
    let telemetry = kennel_telemetry::init(&process.telemetry, &process.otel, &name)?;
    for Problem { location, message } in &loaded.warnings {
        tracing::warn!(setting = %location, reason = %message, "setting is ignored");
    }
    let result = command(loaded.settings).await;
    telemetry.shutdown().await;
    result
}

async fn execute<S: Service>(
    command: Command<S::Command>,
    process: Process,
    settings: ServiceSettings<S>,
    scope: Scope,
) -> anyhow::Result<ExitCode> {
    let cx = process.context::<S>(settings, scope)?;
    let result = match command {
        Command::Serve(Serve { only }) => return process.serve(vec![Box::new(cx)], only.as_deref()).await,
        Command::Migrate(command) => migrate::run(&cx, command).await,
        Command::Dlq(command) => dlq::run(&cx, command).await,
        Command::Own(command) => S::run(&cx, command).await,
        Command::Config(_) | Command::Openapi { .. } | Command::Asyncapi | Command::Healthcheck(_) => {
            unreachable!("these need no context, and `run` has handled them")
        }
    };
    cx.close().await;
    result
}
