//! A request on its way to an upstream, and the response on its way back.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{CONNECTION, CONTENT_TYPE, UPGRADE};
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, StatusCode, Version};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use kennel_core::ErrorKind;
use kennel_http::HttpError;
use kennel_telemetry::propagation;
use tokio::sync::OwnedSemaphorePermit;

use super::{Exchange, GatewayState};
use crate::body::{RequestBody, ResponseBody, StreamEnd, Upload, stream_end};
use crate::coalesce::{self, Flight};
use crate::headers::{add_via, remove_hop_by_hop};
use crate::metrics::StreamKind;
use crate::refusal::Refusal;
use crate::routes::Route;
use crate::timeout;
use crate::tunnel;
use crate::upstream::Patience;

/// By how much longer a response is awaited than the next part of the request's body, which times out by itself.
const UPLOAD_GRACE: Duration = Duration::from_secs(1);
const EVENT_STREAM: &[u8] = b"text/event-stream";

impl GatewayState {
    /// Forwards the request, or waits for the response of another one like it.
    pub(super) async fn forward_or_share(
        &self,
        request: Request,
        exchange: &Exchange<'_>,
        route: &Route,
    ) -> Result<Response, Refusal> {
        let key = if route.coalesce {
            let target = request.uri().path_and_query().map_or("/", PathAndQuery::as_str);
            coalesce::key(request.method(), target, request.headers())
        } else {
            None
        };
        let Some(key) = key else { return self.forward(request, exchange, route).await };
        let deadline = exchange.started + route.timeout;
        loop {
            let waiter = match self.coalescer.join(&key) {
                Flight::Leader(leader) => {
                    let response = self.forward(request, exchange, route).await?;
                    return Ok(leader.share(response, deadline).await?);
                }
                Flight::Waiter(waiter) => waiter,
            };
            match tokio::time::timeout_at(deadline, waiter.response()).await {
                Ok(Ok(response)) => {
                    self.metrics.coalesced(&route.name);
                    return Ok(response);
                }
                Ok(Err(is_given_up)) if is_given_up => {}
                Ok(Err(_)) => return self.forward(request, exchange, route).await,
                Err(_) => return Err(ErrorKind::Timeout.into()),
            }
        }
    }

    async fn forward(&self, mut request: Request, exchange: &Exchange<'_>, route: &Route) -> Result<Response, Refusal> {
        let upstream = &self.upstreams[route.upstream];
        let permit = upstream.permit().map_err(HttpError::from)?;
        let upgrade = if route.websocket { tunnel::requested(&request) } else { None };
        let switching = upgrade.as_ref().and_then(|_| request.extensions_mut().remove::<OnUpgrade>());
        let (limit, is_of_client) = limit_time(&mut request, exchange, route)?;
        let via = via(request.version());
        let headers = request.headers_mut();
        self.client(exchange).forward(headers, upgrade);
        add_via(headers, via);
        exchange.id.insert_into(headers);
        propagation::inject(headers);
        let upload = Upload::new();
        let request = to_upstream(request, route, upload.clone());
        let while_uploading = if is_of_client { limit } else { limit.max(route.idle_timeout + UPLOAD_GRACE) };
        let patience = Patience { limit, while_uploading, is_of_client, upload };
        let mut sent = upstream.send(request, &patience).await.map_err(HttpError::from)?;
        if sent.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(sent, switching, route, exchange, permit);
        }
        let via = self::via(sent.version());
        remove_hop_by_hop(sent.headers_mut());
        add_via(sent.headers_mut(), via);
        let stream = stream_kind(exchange, route, sent.headers());
        let (sent, body) = sent.into_parts();
        let body = ResponseBody::new(body, route.idle_timeout, permit);
        let body = match stream {
            Some((kind, end)) => {
                body.until(stream_end(exchange.stop.clone(), exchange.expires()), end, self.metrics.open_stream(kind))
            }
            None => body,
        };
        let mut response = Response::new(Body::new(body));
        (*response.status_mut(), *response.headers_mut()) = (sent.status, sent.headers);
        Ok(response)
    }

    /// Connects client and upstream, both of which switch to another protocol after this response.
    #[expect(clippy::result_large_err, reason = "a refusal is rare, and becomes the response")]
    fn switch(
        &self,
        mut sent: http::Response<Incoming>,
        client: Option<OnUpgrade>,
        route: &Route,
        exchange: &Exchange<'_>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Response, Refusal> {
        let Some(client) = client.filter(|_| tunnel::names_websocket(sent.headers())) else {
            return Err(HttpError::from_error(ErrorKind::BadUpstream, "it switches protocols unasked").into());
        };
        let open = self.metrics.open_stream(StreamKind::WebSocket);
        let upstream = hyper::upgrade::on(&mut sent);
        let started = self.tunnels.start(client, upstream, route.idle_timeout, exchange.expires(), (permit, open));
        started.map_err(HttpError::overloaded)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        *headers = std::mem::take(sent.headers_mut());
        remove_hop_by_hop(headers);
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, tunnel::WEBSOCKET);
        Ok(response)
    }
}

/// How long the response may take to start, and whether the client says so: a gRPC caller may say less than its route. What is
/// left of its time is passed on.
fn limit_time(request: &mut Request, exchange: &Exchange<'_>, route: &Route) -> Result<(Duration, bool), HttpError> {
    if !exchange.is_grpc {
        return Ok((route.timeout, false));
    }
    let given = timeout::of_caller(request.headers());
    let left = match given.map(|given| given.checked_sub(exchange.started.elapsed())) {
        Some(None) => return Err(ErrorKind::Timeout.into()),
        Some(left) => left,
        // A stream lasts as long as its caller wants.
        None => (!route.stream).then_some(route.timeout),
    };
    if let Some(left) = left {
        let passed_on = if route.stream { left } else { left.min(route.timeout) };
        request.headers_mut().insert(timeout::GRPC_TIMEOUT, timeout::value(passed_on));
    }
    let limit = left.map_or(route.timeout, |left| left.min(route.timeout));
    Ok((limit, given.is_some_and(|given| given < route.timeout)))
}

/// The request as it is sent: with nothing of the client's connection.
fn to_upstream(request: Request, route: &Route, upload: Upload) -> http::Request<RequestBody> {
    let (client, body) = request.into_parts();
    let body = RequestBody::new(body, route.body_limit, route.idle_timeout, upload);
    let mut request = http::Request::new(body);
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (client.method, client.uri, client.headers);
    request
}

/// Whether the response is a stream that ends with the process and with the credentials of its client.
fn stream_kind(exchange: &Exchange<'_>, route: &Route, headers: &HeaderMap) -> Option<(StreamKind, StreamEnd)> {
    if exchange.is_grpc {
        return route.stream.then_some((StreamKind::Grpc, StreamEnd::GrpcStatus));
    }
    let is_sse = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(EVENT_STREAM));
    (is_sse || route.stream).then_some((StreamKind::Sse, StreamEnd::Complete))
}

/// The gateway in `Via`, with the version in which it got the message.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_2 => "2.0 kennel",
        Version::HTTP_10 => "1.0 kennel",
        _ => "1.1 kennel",
    })
}
