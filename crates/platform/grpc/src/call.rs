//! What every call goes through, in this order: request id, span, metrics, admission, deadline, panic.

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
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::Service as _;
use tracing::Instrument as _;

use crate::body::{CallBody, Limits, Running, outcome};
use crate::context::CallContext;
use crate::deadline::{Deadline, Limit};
use crate::methods::{Method, Methods};
use crate::metrics::GrpcMetrics;
use crate::status::{Details, status};
use crate::trace;

/// What all calls of a server share.
pub(crate) struct Shared {
    pub(crate) methods: Methods,
    pub(crate) metrics: GrpcMetrics,
    pub(crate) places: Arc<Semaphore>,
    pub(crate) timeout: Duration,
    pub(crate) ids: Arc<dyn IdSource>,
    pub(crate) domain: &'static str,
    pub(crate) stop: Stop,
}

/// Serves the calls of a connection.
#[derive(Clone)]
pub(crate) struct Calls {
    pub(crate) shared: Arc<Shared>,
    pub(crate) routes: Routes,
}

impl hyper::service::Service<Request<Incoming>> for Calls {
    type Response = Response<CallBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let calls = self.clone();
        Box::pin(async move { Ok(calls.handle(request.map(Body::new)).await) })
    }
}

impl Calls {
    async fn handle(self, mut request: Request<Body>) -> Response<CallBody> {
        let shared = Arc::clone(&self.shared);
        let method = shared.methods.find(request.uri().path());
        let call = CallContext::assign(request.headers_mut(), &*shared.ids, shared.domain);
        let span = trace::span(&method, request.headers(), &call);
        let timer = shared.metrics.begin(Arc::clone(&method));
        let deadline = Deadline::of(request.headers(), &method, shared.timeout);
        let mut running = Running { call: call.clone(), span: span.clone(), timer, place: None, ended: false };

        request.extensions_mut().insert(shared.stop.clone());
        let answer = async {
            if !method.is_health() {
                let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
                    return refuse(ErrorKind::Overloaded);
                };
                running.place = Some(place);
            }
            answer(self.routes, request, deadline.begin).await
        };
        let mut response = call.clone().scope(answer).instrument(span).await;
        call.mark(response.headers_mut());
        watch(response, running, &method, deadline, &shared)
    }
}

fn watch(
    response: Response<Body>,
    running: Running,
    method: &Method,
    deadline: Deadline,
    shared: &Shared,
) -> Response<CallBody> {
    let limits = method.server_streaming.then(|| Limits::new(deadline.end, shared.stop.clone()));
    let (parts, body) = response.into_parts();
    let body = CallBody::new(&parts, body, running, limits);
    Response::from_parts(parts, body)
}

/// The service's answer, or one in its place when it takes too long or panics.
async fn answer(mut routes: Routes, request: Request<Body>, deadline: Option<Limit>) -> Response<Body> {
    let work = AssertUnwindSafe(async move { routes.call(request).await }).catch_unwind();
    let outcome = match deadline {
        Some(limit) => timeout_at(limit.at, work).await.map_err(|_| limit.fault),
        None => Ok(work.await),
    };
    match outcome {
        Ok(Ok(Ok(response))) if is_unreadable(response.headers()) => {
            status(ErrorKind::Malformed, "the request message cannot be decoded", Details::default()).into_http()
        }
        Ok(Ok(Ok(response))) => response,
        Ok(Ok(Err(never))) => match never {},
        Ok(Err(panic)) => {
            panicked(&*panic);
            refuse(ErrorKind::Internal)
        }
        Err(fault) => {
            let mut response = refuse(ErrorKind::Timeout);
            response.extensions_mut().insert(fault);
            response
        }
    }
}

/// Whether this is tonic's own answer to a message that it cannot decode: `INTERNAL`, which would be our failure. Statuses
/// of services have details.
fn is_unreadable(headers: &HeaderMap) -> bool {
    outcome(headers) == Some(Code::Internal) && !headers.contains_key(Status::GRPC_STATUS_DETAILS)
}

fn refuse(kind: ErrorKind) -> Response<Body> {
    status(kind, "", Details::default()).into_http()
}

/// Logs a handler's panic; the panic hook tells where it was.
pub(crate) fn panicked(panic: &(dyn Any + Send)) {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text, "handler panicked");
}
