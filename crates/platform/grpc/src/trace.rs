//! The span of a call, following OpenTelemetry's semantic conventions for RPC.

use http::HeaderMap;
use kennel_core::Principal;
use kennel_telemetry::propagation;
use tonic::Code;
use tracing::{Span, field};

use crate::context::CallContext;
use crate::methods::Method;

/// Creates a span whose parent is the caller's. Health checks get no span: they are frequent and carry no information.
pub(crate) fn span(method: &Method, headers: &HeaderMap, call: &CallContext) -> Span {
    if method.is_health() {
        return Span::none();
    }
    let span = tracing::info_span!(
        "grpc.server",
        otel.name = format_args!("{}/{}", method.service, method.name),
        otel.kind = "server",
        otel.status_code = field::Empty,
        rpc.system = "grpc",
        rpc.service = method.service,
        rpc.method = method.name,
        rpc.grpc.status_code = field::Empty,
        request_id = call.request.request_id().as_str(),
        enduser.id = field::Empty,
    );
    if let Some(parent) = propagation::extract(headers) {
        propagation::set_parent(&span, &parent);
    }
    span
}

/// Records the status code and who called, and closes the span.
#[expect(clippy::needless_pass_by_value, reason = "dropping the last handle closes the span")]
pub(crate) fn end(span: Span, code: Code, principal: Option<&Principal>) {
    span.record("rpc.grpc.status_code", i32::from(code));
    if let Some(principal) = principal {
        span.record("enduser.id", principal.subject());
    }
    if is_server_error(code) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Whether the semantic conventions treat the code as a server error.
const fn is_server_error(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
