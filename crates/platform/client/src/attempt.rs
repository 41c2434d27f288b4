//! One attempt of a call: its span, its deadline, and its result for the metrics and the circuit breaker.

use tokio::time::{Instant, timeout_at};
use tracing::field::Empty;
use tracing::{Instrument as _, Span};

use kennel_telemetry::as_i64;
use url::Url;

use crate::ClientInner;
use crate::breaker::Permit;
use crate::error::ClientError;
use crate::metrics::{ClientMetrics, Outcome};
use crate::redact::shown;

/// Lasts until the end of the response's body, or until it fails. An attempt that the caller drops before does not count.
#[derive(Debug)]
pub(crate) struct Attempt {
    upstream: &'static str,
    metrics: ClientMetrics,
    span: Span,
    permit: Option<Permit>,
    started: Instant,
    deadline: Instant,
}

impl Attempt {
    pub(crate) fn start(client: &ClientInner, method: &str, url: &Url, permit: Permit, deadline: Instant) -> Self {
        let span = tracing::info_span!(
            "upstream",
            otel.name = method,
            otel.kind = "client",
            otel.status_code = Empty,
            upstream = client.upstream,
            http.request.method = method,
            http.response.status_code = Empty,
            server.address = url.host_str(),
            server.port = url.port_or_known_default().map(as_i64),
            url.full = shown(url, &client.config.secrets),
        );
        let (upstream, metrics) = (client.upstream, client.metrics.clone());
        Self { upstream, metrics, span, permit: Some(permit), started: Instant::now(), deadline }
    }

    /// Runs a step of the attempt, in its span and until its deadline.
    pub(crate) async fn run<T>(
        &mut self,
        step: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, ClientError> {
        let result = timeout_at(self.deadline, step).instrument(self.span.clone()).await;
        let result = result.unwrap_or(Err(ClientError::Timeout));
        if let Err(error) = &result {
            self.end(Some(error));
        }
        result
    }

    /// Records the result, once.
    pub(crate) fn end(&mut self, error: Option<&ClientError>) {
        let Some(permit) = self.permit.take() else { return };
        if error.is_some() {
            self.span.record("otel.status_code", "ERROR");
        }
        let outcome = error.map_or(Outcome::Ok, Outcome::of);
        self.span.in_scope(|| self.metrics.record(self.upstream, outcome, self.started.elapsed()));
        permit.record(!error.is_some_and(ClientError::is_upstream_failure));
        self.span = Span::none();
    }
}
