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
use http::header::CONTENT_ENCODING;
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceExt};
use tower_http::compression::{Compression, CompressionBody};
use tower_http::decompression::RequestDecompression;

type Outcome = Result<Response, Infallible>;
type Compressed = Result<Response<CompressionBody<Body>>, Infallible>;
type Compressing = <Compression<Route> as Service<Request>>::Future;

/// Adds [`Coding`] to a route.
#[derive(Debug, Clone, Copy)]
pub(super) struct CodingLayer;

/// Requests without a content coding, nearly all, skip the decompression, which puts bodies into two boxes.
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
    type Future = Either<Map<Compressing, fn(Compressed) -> Outcome>, BoxFuture<'static, Outcome>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Routes are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let Some(coding) = request.headers_mut().get_mut(CONTENT_ENCODING) else {
            return Either::Left(self.route.call(request).map(|outcome| Ok(outcome?.map(Body::new))));
        };
        normalize(coding);
        let decompressing = BoxCloneSyncService::clone(&self.decompressing);
        Either::Right(decompressing.oneshot(request).boxed())
    }
}

/// Names of content codings are case-insensitive, and `x-gzip` is gzip (RFC 9110, section 8.4.1).
fn normalize(coding: &mut HeaderValue) {
    let name = coding.as_bytes();
    if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
        *coding = HeaderValue::from_static("gzip");
    }
}
