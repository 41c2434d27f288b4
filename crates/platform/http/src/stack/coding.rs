//! Content codings of bodies: requests are decompressed, responses compressed as the client accepts.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::Route;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Either, Map};
use http::HeaderValue;
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_RANGE, VARY};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};
use tower_http::compression::Compression;
use tower_http::compression::predicate::{DefaultPredicate, Predicate as _};
use tower_http::decompression::RequestDecompression;

type Outcome = Result<Response, Infallible>;
type Unchanged = <Route as Service<Request>>::Future;

/// Adds [`Coding`] to a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodingLayer;

/// Requests without a content coding, nearly all, skip the decompression, which puts bodies into two boxes. Those that
/// accept no coding, as of other services, skip the compression: its body has room for the state of an encoder, so that
/// each step would copy a response of 6 KB.
#[derive(Clone)]
pub(super) struct Coding {
    route: Compression<Route>,
    decompressing: Arc<BoxCloneSyncService<Request, Response, Infallible>>,
}

impl Layer<Route> for CodingLayer {
    type Service = Coding;

    fn layer(&self, route: Route) -> Coding {
        let route = Compression::new(route);
        // Other encodings are refused with 415. Limits count decompressed bytes, so that no body expands past them.
        let decompressing = RequestDecompression::new(route.clone()).no_br().no_deflate().no_zstd();
        let decompressing = ServiceExt::<Request>::map_response(decompressing, |response| response.map(Body::new));
        Coding { route, decompressing: Arc::new(BoxCloneSyncService::new(decompressing)) }
    }
}

impl Service<Request> for Coding {
    type Response = Response;
    type Error = Infallible;
    type Future = Either<Map<Unchanged, fn(Outcome) -> Outcome>, BoxFuture<'static, Outcome>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(coding) = request.headers_mut().get_mut(CONTENT_ENCODING) else {
            if request.headers().contains_key(ACCEPT_ENCODING) {
                return Either::Right(self.route.call(request).map(|outcome| Ok(outcome?.map(Body::new))).boxed());
            }
            return Either::Left(self.route.get_mut().call(request).map(|outcome| outcome.map(with_vary)));
        };
        normalize(coding);
        let decompressing = BoxCloneSyncService::clone(&self.decompressing);
        Either::Right(decompressing.oneshot(request).boxed())
    }
}

/// Names the header that another request for this response could have, as the compression does.
fn with_vary(mut response: Response) -> Response {
    let headers = response.headers();
    let is_compressible = !headers.contains_key(CONTENT_ENCODING)
        && !headers.contains_key(CONTENT_RANGE)
        && DefaultPredicate::new().should_compress(&response);
    let names_it = |value: &HeaderValue| {
        let value = value.to_str().unwrap_or_default();
        value.split(',').any(|name| name.trim().eq_ignore_ascii_case(ACCEPT_ENCODING.as_str()))
    };
    if is_compressible && !headers.get_all(VARY).iter().any(names_it) {
        response.headers_mut().append(VARY, HeaderValue::from_static("accept-encoding"));
    }
    response
}

/// Names of content codings are case-insensitive, and `x-gzip` is gzip (RFC 9110, section 8.4.1).
fn normalize(coding: &mut HeaderValue) {
    let name = coding.as_bytes();
    if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
        *coding = HeaderValue::from_static("gzip");
    }
}
