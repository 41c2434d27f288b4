//! The steps of every call, in this order: request id, span, metrics, limit on calls in flight, deadline, panic, who may call.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use kennel_app::Stop;
use kennel_core::{ErrorKind, IdSource};
use kennel_net::{AccessCheck, AccessDenied, Operation, RequestContext, RequestId, expired};
use kennel_telemetry::{InSpan, is_sampled};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;

use crate::body::{ActiveCall, CallBody, StreamLimits, outcome};
use crate::context::CallContext;
use crate::deadline::{Deadline, Limit};
use crate::methods::{Method, Methods};
use crate::metrics::{Fault, GrpcMetrics};
use crate::status::{Details, denied, status};
use crate::trace;

/// What all calls of a server share.
pub(crate) struct ServerContext {
    pub(crate) methods: Methods,
    pub(crate) metrics: GrpcMetrics,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) timeout: Duration,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) domain: &'static str,
    pub(crate) stop: Stop,
    pub(crate) access: Option<Arc<dyn AccessCheck>>,
}

/// Serves the calls of a connection.
#[derive(Clone)]
pub(crate) struct CallService {
    pub(crate) server: Arc<ServerContext>,
    pub(crate) routes: Routes,
}

impl hyper::service::Service<Request<Incoming>> for CallService {
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move { Ok(service.handle(request.map(Body::new)).await) })
    }
}

impl CallService {
    async fn handle(self, mut request: Request<Body>) -> Response<CallBody> {
        let server = Arc::clone(&self.server);
        let method = server.methods.find(request.uri().path());
        let request_id = RequestId::of(request.headers(), &*server.ids);
        request_id.insert_into(request.headers_mut());
        let call = CallContext { request: RequestContext::new(request_id), domain: server.domain };
        let span = trace::span(&method, request.headers(), &call);
        let timer = server.metrics.start(Arc::clone(&method));
        let deadline = Deadline::of(request.headers(), &method, server.timeout);
        if let Some(limit) = deadline.end {
            call.request.set_deadline(move || limit.at);
        }
        let mut active =
            ActiveCall { call: call.clone(), span: span.clone(), is_sampled: true, timer, permit: None, ended: false };

        request.extensions_mut().insert(server.stop.clone());
        let response = async {
            active.is_sampled = is_sampled();
            if !method.is_health() {
                let Ok(permit) = Arc::clone(&server.permits).try_acquire_owned() else {
                    return error_response(ErrorKind::Overloaded);
                };
                active.permit = Some(permit);
            }
            respond(server.access.clone(), self.routes, request, &method, deadline.response).await
        };
        let mut response = InSpan::new(span, Box::pin(call.clone().scope(response))).await;
        call.request.request_id().insert_into(response.headers_mut());
        track(response, active, &method, deadline, &server)
    }
}

fn track(
    response: Response<Body>,
    active: ActiveCall,
    method: &Method,
    deadline: Deadline,
    server: &ServerContext,
) -> Response<CallBody> {
    let expires = active.call.request.expires();
    let limits = method.server_streaming.then(|| StreamLimits::new(deadline.end, expires, server.stop.clone()));
    let (parts, body) = response.into_parts();
    let body = CallBody::new(&parts, body, active, limits);
    Response::from_parts(parts, body)
}

/// Returns the service's response, or an error if it panics or exceeds its deadline.
async fn respond(
    access: Option<Arc<dyn AccessCheck>>,
    mut routes: Routes,
    request: Request<Body>,
    method: &Method,
    deadline: Option<Limit>,
) -> Response<Body> {
    let work = AssertUnwindSafe(async move {
        let request = match admit(access, request, method.reads()).await {
            Ok(request) => request,
            Err(refused) => return Ok(refused.into_http()),
        };
        let call = routes.call(request);
        if !method.client_streaming {
            return call.await;
        }
        // The caller may send for as long as it likes, but not for longer than it may call the method.
        let expires = RequestContext::current().and_then(|context| context.expires());
        tokio::select! {
            response = call => response,
            () = expired(expires) => Ok(denied(&AccessDenied::expired()).into_http()),
        }
    });
    let work = work.catch_unwind();
    let outcome = match deadline {
        Some(limit) => timeout_at(limit.at, work).await.map_err(|_| limit.fault),
        None => Ok(work.await),
    };
    match outcome {
        Ok(Ok(Ok(mut response))) => match library_error(response.headers()) {
            Some(Code::Internal) => {
                status(ErrorKind::Malformed, "the request message cannot be decoded", Details::default()).into_http()
            }
            // The message is too large once it is decompressed.
            Some(Code::ResourceExhausted) => {
                response.extensions_mut().insert(Fault::Caller);
                response
            }
            _ => response,
        },
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            log_panic(&*panic);
            error_response(ErrorKind::Internal)
        }
        Err(fault) => {
            let mut response = error_response(ErrorKind::Timeout);
            response.extensions_mut().insert(fault);
            response
        }
    }
}

/// The request, if its sender may call the method; who that is becomes known to the handler.
async fn admit(
    access: Option<Arc<dyn AccessCheck>>,
    request: Request<Body>,
    reads: bool,
) -> Result<Request<Body>, Status> {
    let Some(access) = access else { return Ok(request) };
    let (parts, body) = request.into_parts();
    match access.check(Operation::Grpc { path: parts.uri.path(), reads }, &parts.headers).await {
        Ok(caller) => {
            if let (Some(caller), Some(context)) = (caller, RequestContext::current()) {
                context.set_caller(caller);
            }
            Ok(Request::from_parts(parts, body))
        }
        Err(refusal) => Err(denied(&refusal)),
    }
}

/// The status, if it is tonic's own about a message that it cannot decode. It would count as the server's failure, but the
/// caller is at fault. Statuses of services have details.
fn library_error(headers: &HeaderMap) -> Option<Code> {
    outcome(headers).filter(|_| !headers.contains_key(Status::GRPC_STATUS_DETAILS))
}

fn error_response(kind: ErrorKind) -> Response<Body> {
    status(kind, "", Details::default()).into_http()
}

/// Logs a handler's panic; the panic hook logs its location.
pub(crate) fn log_panic(panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "handler panicked");
}
