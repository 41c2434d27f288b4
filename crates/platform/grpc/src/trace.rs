//! The span of a call, after the OpenTelemetry conventions for RPC.

use http::HeaderMap;
use kennel_telemetry::propagation;
use tonic::Code;
use tracing::{Span, field};

use crate::context::CallContext;
use crate::methods::Method;

/// A span whose parent is the caller's. Health checks get none: they come every few seconds and tell nothing.
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
        request_id = &*call.request_id,
    );
    if let Some(parent) = propagation::extract(headers) {
        propagation::set_parent(&span, &parent);
    }
    span
}

/// Records how the call ended, and closes its span.
#[expect(clippy::needless_pass_by_value, reason = "the last handle closes the span")]
pub(crate) fn end(span: Span, code: Code) {
    span.record("rpc.grpc.status_code", i32::from(code));
    if is_fault(code) {
        span.record("otel.status_code", "ERROR");
    }
}

/// Whether the code is a fault of the server's; the conventions list these.
const fn is_fault(code: Code) -> bool {
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
