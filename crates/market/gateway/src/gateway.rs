//! What happens to a request, in this order: its path is normalised, its route found, its caller authenticated, its rate limited,
//! its headers replaced; then it is sent to the upstream, and the response streams back.

mod forward;
mod target;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use http::header::HOST;
use http::{HeaderValue, Method, StatusCode, Uri};
use kennel_app::Stop;
use kennel_core::{ErrorKind, UuidV7};
use kennel_http::metrics::method_label;
use kennel_http::{HttpError, HttpMetrics, RequestId};
use kennel_net::{AccessCheck, Authenticated, client_network};
use kennel_telemetry::metrics::NO_ROUTE;
use kennel_telemetry::{InSpan, as_i64, is_sampled, propagation};
use tokio::sync::Semaphore;
use tokio::time::Instant;
use tracing::Span;
use tracing::field::Empty;

use self::target::{check_length, check_target, last_hop, not_allowed, target};
use crate::access::authenticate;
use crate::coalesce::Coalescer;
use crate::headers::Client;
use crate::limit::{Limiter, Standing};
use crate::metrics::GatewayMetrics;
use crate::refusal::{Refusal, is_grpc};
use crate::routes::{Access, Found, LimitPolicy, Route, Routes};
use crate::tunnel::Tunnels;
use crate::upstream::Upstream;

/// Handles every request that is not the gateway's own. Clones share everything.
#[derive(Clone)]
pub(crate) struct Gateway(pub(crate) Arc<GatewayState>);

pub(crate) struct GatewayState {
    pub(crate) routes: Routes,
    pub(crate) upstreams: Vec<Upstream>,
    /// `None` if nobody is authenticated: then all routes are public.
    pub(crate) access: Option<Arc<dyn AccessCheck>>,
    pub(crate) limiter: Limiter,
    pub(crate) coalescer: Coalescer,
    pub(crate) tunnels: Tunnels,
    pub(crate) trusted_hops: usize,
    pub(crate) is_https: bool,
    pub(crate) in_flight: Semaphore,
    pub(crate) http: HttpMetrics,
    pub(crate) metrics: GatewayMetrics,
}

impl tower::Service<Request> for Gateway {
    type Response = Response;
    type Error = Infallible;
    type Future = InSpan<dyn Future<Output = Result<Response, Infallible>> + Send>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let state = Arc::clone(&self.0);
        let id = RequestId::of(request.headers(), &UuidV7);
        let span = span(&request, &id);
        let recorded = span.clone();
        InSpan::new(span, Box::pin(async move { Ok(state.handle(request, &id, &recorded).await) }))
    }
}

/// A request on its way.
struct Exchange<'a> {
    id: &'a RequestId,
    peer: SocketAddr,
    stop: Stop,
    started: Instant,
    is_grpc: bool,
    caller: Option<Authenticated>,
}

impl Exchange<'_> {
    /// When the credentials of the client expire.
    fn expires(&self) -> Option<Instant> {
        self.caller.as_ref().and_then(|caller| caller.expires)
    }
}

/// Counts a request, also one whose client disconnects before the response (status 499).
struct RequestTimer<'a> {
    metrics: &'a HttpMetrics,
    method: Method,
    route: Option<Arc<Route>>,
    started: Instant,
    status: StatusCode,
}

impl Drop for RequestTimer<'_> {
    fn drop(&mut self) {
        let route = self.route.as_ref().map_or(NO_ROUTE, |route| route.name.as_str());
        self.metrics.stop(&self.method, route, self.status, self.started.elapsed());
    }
}

impl GatewayState {
    /// Runs inside `span`, which is that of the request.
    async fn handle(&self, request: Request, id: &RequestId, span: &Span) -> Response {
        let started = Instant::now();
        self.http.start();
        let client_closed = StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST);
        let (method, metrics) = (request.method().clone(), &self.http);
        let mut timer = RequestTimer { metrics, method, route: None, started, status: client_closed };
        let is_grpc = is_grpc(request.headers());
        let exchange = Exchange {
            id,
            peer: request.extensions().get().map_or(([0; 4], 0).into(), |ConnectInfo(peer): &ConnectInfo<_>| *peer),
            stop: request.extensions().get().cloned().unwrap_or_default(),
            started,
            is_grpc,
            caller: None,
        };
        let answered = self.answer(request, exchange, &mut timer.route).await;
        let response = answered.unwrap_or_else(|refusal| {
            let route = timer.route.as_ref().map_or(NO_ROUTE, |route| route.name.as_str());
            self.metrics.refused(route, refusal.reason);
            refusal.respond(id, is_grpc)
        });
        // No log line follows that could show them.
        if is_sampled() {
            span.record("http.response.status_code", as_i64(response.status().as_u16()));
            if response.status().is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
            if let Some(route) = &timer.route {
                span.record("http.route", route.name.as_str());
            }
        }
        timer.status = response.status();
        response
    }

    async fn answer(
        &self,
        mut request: Request,
        mut exchange: Exchange<'_>,
        found: &mut Option<Arc<Route>>,
    ) -> Result<Response, Refusal> {
        let _in_flight = self.in_flight.try_acquire().map_err(|_| HttpError::overloaded("too many requests"))?;
        check_target(&request)?;
        let target = target(request.uri())?;
        let route = match self.routes.find(request.method(), target.path()) {
            Found::Route(route) => Arc::clone(route),
            Found::Nothing => return Err(ErrorKind::NotFound.into()),
            Found::OtherMethods(methods) => return Err(not_allowed(&methods)),
        };
        *found = Some(Arc::clone(&route));
        if let Some(response) = last_hop(&mut request, &route) {
            return Ok(response);
        }
        let client = self.client(&exchange);
        let ip = client.ip(request.headers());
        let authenticated = match (&self.access, &route.access) {
            (Some(check), Access::Scopes(_)) => authenticate(&**check, request.headers()).await.map(Some),
            _ => Ok(None),
        };
        let known = authenticated.as_ref().ok().and_then(Option::as_ref);
        let standing = self.count(&route, known, ip).await;
        let describe = |mut refusal: Refusal| {
            if let Some(standing) = &standing {
                standing.describe(&mut refusal.headers);
            }
            refusal
        };
        if let Some(limited) = standing.as_ref().filter(|standing| !standing.is_allowed) {
            return Err(describe(limited.refusal().into()));
        }
        exchange.caller = authenticated.map_err(describe)?;
        if let Some(Authenticated { principal, .. }) = &exchange.caller {
            tracing::Span::current().record("enduser.id", principal.subject());
            route.access.permit(principal).map_err(describe)?;
        }
        check_length(&request, &route)?;
        if let Some(host) = request.uri().authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
            request.headers_mut().insert(HOST, host);
        }
        *request.uri_mut() = Uri::from(target);
        let mut response = self.forward_or_share(request, &exchange, &route).await?;
        if let Some(standing) = &standing {
            standing.describe(response.headers_mut());
        }
        exchange.id.insert_into(response.headers_mut());
        Ok(response)
    }

    fn client<'a>(&self, exchange: &'a Exchange<'_>) -> Client<'a> {
        let (trusted_hops, is_https) = (self.trusted_hops, self.is_https);
        Client {
            peer: exchange.peer,
            trusted_hops,
            is_https,
            principal: exchange.caller.as_ref().map(|caller| &caller.principal),
        }
    }

    /// Counts the request, if the route has a limit. Requests whose caller is unknown count for their address, also those with
    /// wrong tokens.
    async fn count(&self, route: &Route, known: Option<&Authenticated>, ip: IpAddr) -> Option<Standing<'_>> {
        let policy: &LimitPolicy = &self.routes.limits[route.limit?];
        let caller = known
            .map_or_else(|| format!("ip:{}", client_network(ip)), |known| format!("sub:{}", known.principal.subject()));
        Some(self.limiter.count(policy, &route.name, &caller).await)
    }
}

/// A new trace, since callers are strangers; theirs is linked.
fn span(request: &Request, id: &RequestId) -> Span {
    let method = method_label(request.method());
    let span = tracing::info_span!(
        "request",
        otel.name = method,
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = method,
        http.route = Empty,
        http.response.status_code = Empty,
        url.path = request.uri().path(),
        request_id = id.as_str(),
        enduser.id = Empty,
    );
    if let Some(trace) = propagation::extract(request.headers()) {
        propagation::add_link(&span, &trace);
    }
    span
}
