//! The variables of the OpenTelemetry specification.

use kennel_config::{Problems, Secret, Section};
use kennel_telemetry::otel::{OtlpVariables, Variables};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The export of traces and logs. The values are text, because the specification requires that invalid values are ignored
/// with a warning.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct OtelSettings {
    /// `true` exports neither traces nor logs; trace context is still propagated.
    #[schemars(title = "flag, true or false")]
    pub otel_sdk_disabled: Option<String>,
    /// Name of the service in traces and logs. Unset: `service.name` of `OTEL_RESOURCE_ATTRIBUTES`, else `dogs`.
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

impl Section for OtelSettings {
    const TITLE: &'static str = "OpenTelemetry";

    fn check(&self, problems: &mut Problems) {
        let resolved = self.variables().resolve();
        for (key, reason) in resolved.problems {
            problems.add(&key, reason);
        }
        for (key, reason) in resolved.warnings {
            problems.warn(&key, reason);
        }
    }
}

impl OtelSettings {
    /// The variables that configure the export.
    pub fn variables(&self) -> Variables {
        Variables {
            sdk_disabled: self.otel_sdk_disabled.clone(),
            traces_exporter: self.otel_traces_exporter.clone(),
            logs_exporter: self.otel_logs_exporter.clone(),
            metrics_exporter: self.otel_metrics_exporter.clone(),
            propagators: self.otel_propagators.clone(),
            traces_sampler: self.otel_traces_sampler.clone(),
            traces_sampler_arg: self.otel_traces_sampler_arg.clone(),
            otlp: OtlpVariables {
                endpoint: self.otel_exporter_otlp_endpoint.clone(),
                protocol: self.otel_exporter_otlp_protocol.clone(),
                headers: exposed(self.otel_exporter_otlp_headers.as_ref()),
                timeout: self.otel_exporter_otlp_timeout.clone(),
                compression: self.otel_exporter_otlp_compression.clone(),
            },
            otlp_traces: OtlpVariables {
                endpoint: self.otel_exporter_otlp_traces_endpoint.clone(),
                protocol: self.otel_exporter_otlp_traces_protocol.clone(),
                headers: exposed(self.otel_exporter_otlp_traces_headers.as_ref()),
                timeout: self.otel_exporter_otlp_traces_timeout.clone(),
                compression: self.otel_exporter_otlp_traces_compression.clone(),
            },
            otlp_logs: OtlpVariables {
                endpoint: self.otel_exporter_otlp_logs_endpoint.clone(),
                protocol: self.otel_exporter_otlp_logs_protocol.clone(),
                headers: exposed(self.otel_exporter_otlp_logs_headers.as_ref()),
                timeout: self.otel_exporter_otlp_logs_timeout.clone(),
                compression: self.otel_exporter_otlp_logs_compression.clone(),
            },
        }
    }
}

fn exposed(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| secret.expose().to_owned())
}
