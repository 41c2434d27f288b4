//! Turns a panic of a handler into a problem with status 500.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};

use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use futures_util::FutureExt as _;
use futures_util::future::{CatchUnwind, Map};
use kennel_core::ErrorKind;
use tower::{Layer, Service};

use crate::problem::HttpError;

type Outcome = Result<Response, Infallible>;
type Caught = Result<Outcome, Box<dyn Any + Send>>;

/// Adds [`CatchPanics`] to a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CatchPanicsLayer;

/// Calls a service and catches its panics. The body of the response stays as it is, without another box around it.
#[derive(Debug, Clone)]
pub(crate) struct CatchPanics<S>(S);

impl<S> Layer<S> for CatchPanicsLayer {
    type Service = CatchPanics<S>;

    fn layer(&self, inner: S) -> CatchPanics<S> {
        CatchPanics(inner)
    }
}

impl<S: Service<Request, Response = Response, Error = Infallible>> Service<Request> for CatchPanics<S> {
    type Response = Response;
    type Error = Infallible;
    type Future = Map<CatchUnwind<AssertUnwindSafe<S::Future>>, fn(Caught) -> Outcome>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        AssertUnwindSafe(self.0.call(request))
            .catch_unwind()
            .map(|caught| caught.unwrap_or_else(|panic| Ok(panicked(&*panic))))
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Response {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    HttpError::new(ErrorKind::Internal)
        .with_source(format!("handler panicked: {}", text.unwrap_or("no message")))
        .into_response()
}
