//! Initializes and shuts down logs and traces.

use std::io::IsTerminal as _;
use std::time::Duration;

use kennel_config::{ConfigErrors, Problems};
use kennel_core::BoxError;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::resource::{EnvResourceDetector, ResourceDetector as _};
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tracing::level_filters::LevelFilter;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{LogFormat, LogTarget, Process, TelemetryConfig};
use crate::format::{JsonFields, JsonLines, PrettyLines};
use crate::otel::{OtelConfig, Otlp, Sampling};
use crate::{export, exporters, sampling};

/// Timeout of exporting the last spans and log lines.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(3);

/// Maximum number of links of a span: the relay publishes up to 1,000 events at once, and the span links to each of them.
/// OpenTelemetry's default is 128.
const MAX_LINKS: u32 = 1_000;

/// Targets whose spans are not exported: libraries used by the exporters, and those with too many spans.
const EXCLUDED_TARGETS: [&str; 8] =
    ["clickhouse", "h2", "hyper", "hyper_util", "opentelemetry", "reqwest", "tonic", "tower"];

/// Silences a client that logs every connection, which is noise for users of the command line.
const QUIET_CLIENTS: &str = "async_nats=warn";

/// Target of spans that are context for log lines but not exported as traces: probes, scrapes.
pub const UNTRACED: &str = "untraced";

/// Why telemetry could not be initialized.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// Settings are invalid.
    #[error(transparent)]
    Settings(#[from] ConfigErrors),
    /// The directives of the log level are invalid.
    #[error("log level is not readable")]
    Level(#[from] tracing_subscriber::filter::ParseError),
    /// The collector's address is invalid.
    #[error("exporter cannot be built")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The HTTP client of the exporter cannot be built.
    #[error("http client of the exporter cannot be built")]
    HttpClient(#[source] reqwest::Error),
    /// The process already has a subscriber.
    #[error("telemetry is already initialized")]
    AlreadyInitialized(#[from] tracing_subscriber::util::TryInitError),
}

/// Guard of the process's telemetry. Shut it down last.
#[derive(Debug)]
#[must_use = "buffered spans are lost unless `shutdown` is called"]
pub struct Telemetry {
    tracers: SdkTracerProvider,
    loggers: Option<SdkLoggerProvider>,
}

/// Installs the global subscriber. With an OTLP endpoint it must be called inside the Tokio runtime.
///
/// Trace ids are created, logged and propagated also without a trace exporter. Log lines are exported in addition.
pub fn init(config: &TelemetryConfig, otel: &OtelConfig, process: &Process) -> Result<Telemetry, InitError> {
    let export = Problems::resolve(|problems| Some(otel.export(problems)))?;
    let resource = resource(otel, process);
    let tracers = tracers(export.traces.as_ref(), export.sampling, config.trace_limit, resource.clone())?;
    let loggers = export.logs.map(|otlp| loggers(&otlp, resource)).transpose()?;
    let lines = EnvFilter::try_new(directives(&config.log_level, process.log_target))?.or(filter_fn(is_service_span));
    let logs =
        logs(config.log_format, process.log_target).and_then(loggers.as_ref().map(export::layer)).with_filter(lines);
    tracing_subscriber::registry().with(traces(&tracers)).with(logs).try_init()?;
    Ok(Telemetry { tracers, loggers })
}

impl Telemetry {
    /// Exports buffered spans and lines, with a timeout of a few seconds, and stops. Safe to call after a failed start.
    pub async fn shutdown(self) {
        let stop = tokio::task::spawn_blocking(move || {
            let spans = self.tracers.shutdown_with_timeout(FLUSH_TIMEOUT);
            let lines = self.loggers.map_or(Ok(()), |loggers| loggers.shutdown_with_timeout(FLUSH_TIMEOUT));
            spans.and(lines)
        });
        let outcome = match stop.await {
            Ok(outcome) => outcome.map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = outcome {
            tracing::warn!(error = &*error as &dyn std::error::Error, "cannot export the last spans or log lines");
        }
    }
}

fn tracers(
    otlp: Option<&Otlp>,
    sampling: Sampling,
    trace_limit: u32,
    resource: Resource,
) -> Result<SdkTracerProvider, InitError> {
    let mut builder = SdkTracerProvider::builder().with_resource(resource);
    if std::env::var_os("OTEL_SPAN_LINK_COUNT_LIMIT").is_none() {
        builder = builder.with_max_links_per_span(MAX_LINKS);
    }
    let Some(otlp) = otlp else {
        // Ids without recording: new traces are not sampled, so their attributes are not stored.
        let sampler = Sampler::ParentBased(Box::new(Sampler::AlwaysOff));
        return Ok(builder.with_sampler(sampler).build());
    };
    let sampler = sampling::sampler(sampling, trace_limit);
    Ok(builder.with_sampler(sampler).with_batch_exporter(exporters::spans(otlp)?).build())
}

fn loggers(otlp: &Otlp, resource: Resource) -> Result<SdkLoggerProvider, InitError> {
    let exporter = exporters::lines(otlp)?;
    Ok(SdkLoggerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

fn resource(otel: &OtelConfig, process: &Process) -> Resource {
    let detected = EnvResourceDetector::new().detect().get(&Key::from_static_str("service.name"));
    let name = otel.otel_service_name.clone().or_else(|| detected.map(|name| name.to_string()));
    Resource::builder()
        .with_service_name(name.unwrap_or_else(|| process.name.to_owned()))
        .with_attribute(KeyValue::new("service.version", process.version))
        .build()
}

/// Returns the filter of log lines. Later directives, those of the setting, override earlier ones.
fn directives(level: &str, target: LogTarget) -> String {
    match target {
        LogTarget::Stdout => level.to_owned(),
        LogTarget::Stderr => format!("{QUIET_CLIENTS},{level}"),
    }
}

/// Creates the layer that converts `tracing` spans to OpenTelemetry spans.
pub(crate) fn traces<S>(tracers: &SdkTracerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let levels = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_targets(EXCLUDED_TARGETS.map(|target| (target, LevelFilter::OFF)))
        .with_target(UNTRACED, LevelFilter::OFF);
    tracing_opentelemetry::layer()
        .with_tracer(tracers.tracer("kennel"))
        .with_location(false)
        .with_threads(false)
        .with_tracked_inactivity(false)
        .with_target(false)
        .with_filter(levels)
}

fn logs<S>(format: LogFormat, target: LogTarget) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let (writer, terminal) = match target {
        LogTarget::Stdout => (BoxMakeWriter::new(std::io::stdout), std::io::stdout().is_terminal()),
        LogTarget::Stderr => (BoxMakeWriter::new(std::io::stderr), std::io::stderr().is_terminal()),
    };
    lines(format, writer, terminal)
}

/// Creates the layer that writes log lines.
pub(crate) fn lines<S>(format: LogFormat, writer: BoxMakeWriter, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        LogFormat::Json => layer.fmt_fields(JsonFields).event_format(JsonLines).with_ansi(false).boxed(),
        LogFormat::Pretty => layer.event_format(PrettyLines).boxed(),
    }
}

/// Returns whether a span or event is not from the exporters themselves, which would cause an endless loop.
pub(crate) fn is_application(metadata: &Metadata<'_>) -> bool {
    !EXCLUDED_TARGETS.iter().any(|excluded| metadata.target().starts_with(excluded))
}

/// Returns whether a span is context for log lines even if its own level is filtered out.
fn is_service_span(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() <= tracing::Level::INFO && is_application(metadata)
}
