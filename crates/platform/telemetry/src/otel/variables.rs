//! The variables of the OpenTelemetry specification, as settings.

use kennel_config::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The export of traces and logs. The values are text, because the specification requires that invalid values are ignored
/// with a warning.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OtelConfig {
    /// `true` exports neither traces nor logs; trace context is still propagated.
    #[schemars(title = "flag, true or false")]
    pub otel_sdk_disabled: Option<String>,
    /// Name of the service in traces and logs. Unset: `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else the name of the
    /// service.
    pub otel_service_name: Option<String>,
    /// Exporter of traces: `otlp` or `none`. Unset: `otlp` if an endpoint is set.
    pub otel_traces_exporter: Option<String>,
    /// Exporter of logs: `otlp` or `none`. Unset: `otlp` if an endpoint is set.
    pub otel_logs_exporter: Option<String>,
    /// `none` or `prometheus`: metrics are not exported, but scraped at `PROMETHEUS_PORT`.
    pub otel_metrics_exporter: Option<String>,
    /// Propagation of trace context: `tracecontext`.
    pub otel_propagators: Option<String>,
    /// Sampler of traces: `always_on`, `always_off`, `traceidratio`, or, with the decision of the parent,
    /// `parentbased_always_on`, `parentbased_always_off`, `parentbased_traceidratio`. Unset: the last one.
    pub otel_traces_sampler: Option<String>,
    /// Sampling ratio of new traces, from 0 to 1, for samplers with a ratio. Unset: 1.
    #[schemars(title = "number from 0 to 1")]
    pub otel_traces_sampler_arg: Option<String>,
    /// OTLP endpoint of the collector of traces and logs, such as `http://localhost:4317`; with `http/protobuf` a base URL such as
    /// `http://localhost:4318`. Unset: nothing is exported, unless an exporter is `otlp`.
    pub otel_exporter_otlp_endpoint: Option<String>,
    /// `grpc` or `http/protobuf`. Unset: `grpc`.
    pub otel_exporter_otlp_protocol: Option<String>,
    /// Headers of each request, as `name=value,name=value`, percent-encoded.
    pub otel_exporter_otlp_headers: Option<Secret>,
    /// How long a request may take, in milliseconds. Unset: 10000.
    #[schemars(title = "number of milliseconds")]
    pub otel_exporter_otlp_timeout: Option<String>,
    /// `gzip` or `none`. Unset: `none`.
    pub otel_exporter_otlp_compression: Option<String>,
    /// As without `TRACES_`, for traces only; with `http/protobuf` the whole URL.
    pub otel_exporter_otlp_traces_endpoint: Option<String>,
    /// As without `TRACES_`, for traces only.
    pub otel_exporter_otlp_traces_protocol: Option<String>,
    /// As without `TRACES_`, for traces only.
    pub otel_exporter_otlp_traces_headers: Option<Secret>,
    /// As without `TRACES_`, for traces only.
    #[schemars(title = "number of milliseconds")]
    pub otel_exporter_otlp_traces_timeout: Option<String>,
    /// As without `TRACES_`, for traces only.
    pub otel_exporter_otlp_traces_compression: Option<String>,
    /// As without `LOGS_`, for logs only; with `http/protobuf` the whole URL.
    pub otel_exporter_otlp_logs_endpoint: Option<String>,
    /// As without `LOGS_`, for logs only.
    pub otel_exporter_otlp_logs_protocol: Option<String>,
    /// As without `LOGS_`, for logs only.
    pub otel_exporter_otlp_logs_headers: Option<Secret>,
    /// As without `LOGS_`, for logs only.
    #[schemars(title = "number of milliseconds")]
    pub otel_exporter_otlp_logs_timeout: Option<String>,
    /// As without `LOGS_`, for logs only.
    pub otel_exporter_otlp_logs_compression: Option<String>,
}

/// The exporter variables of one signal, or of all.
#[derive(Clone, Copy)]
pub(super) struct ExporterVariables<'a> {
    pub(super) endpoint: Option<&'a String>,
    pub(super) protocol: Option<&'a String>,
    /// They may contain a password.
    pub(super) headers: Option<&'a Secret>,
    pub(super) timeout: Option<&'a String>,
    pub(super) compression: Option<&'a String>,
}

impl OtelConfig {
    /// Returns `OTEL_EXPORTER_OTLP_…`.
    pub(super) fn otlp(&self) -> ExporterVariables<'_> {
        ExporterVariables {
            endpoint: self.otel_exporter_otlp_endpoint.as_ref(),
            protocol: self.otel_exporter_otlp_protocol.as_ref(),
            headers: self.otel_exporter_otlp_headers.as_ref(),
            timeout: self.otel_exporter_otlp_timeout.as_ref(),
            compression: self.otel_exporter_otlp_compression.as_ref(),
        }
    }

    /// Returns `OTEL_EXPORTER_OTLP_TRACES_…`, which have priority for traces.
    pub(super) fn otlp_traces(&self) -> ExporterVariables<'_> {
        ExporterVariables {
            endpoint: self.otel_exporter_otlp_traces_endpoint.as_ref(),
            protocol: self.otel_exporter_otlp_traces_protocol.as_ref(),
            headers: self.otel_exporter_otlp_traces_headers.as_ref(),
            timeout: self.otel_exporter_otlp_traces_timeout.as_ref(),
            compression: self.otel_exporter_otlp_traces_compression.as_ref(),
        }
    }

    /// Returns `OTEL_EXPORTER_OTLP_LOGS_…`, which have priority for log lines.
    pub(super) fn otlp_logs(&self) -> ExporterVariables<'_> {
        ExporterVariables {
            endpoint: self.otel_exporter_otlp_logs_endpoint.as_ref(),
            protocol: self.otel_exporter_otlp_logs_protocol.as_ref(),
            headers: self.otel_exporter_otlp_logs_headers.as_ref(),
            timeout: self.otel_exporter_otlp_logs_timeout.as_ref(),
            compression: self.otel_exporter_otlp_logs_compression.as_ref(),
        }
    }
}
