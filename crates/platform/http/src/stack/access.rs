//! Refuses requests whose sender may not call the route.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse as _, Response};
use futures_util::future::BoxFuture;
use kennel_net::{AccessCheck, Operation, RequestContext};
use tower::{Layer, Service};

use crate::problem::HttpError;

/// Adds [`Guarded`] to a service.
#[derive(Clone)]
pub(super) struct AccessLayer(pub(super) Arc<dyn AccessCheck>);

/// Asks who may call the route before its handler runs, and makes the sender known to it. What matches no route passes: its
/// response is 404 for everyone.
#[derive(Clone)]
pub(super) struct Guarded<S> {
    inner: S,
    check: Arc<dyn AccessCheck>,
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, check: Arc::clone(&self.0) }
    }
}

impl<S> Service<Request> for Guarded<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let Some(route) = request.extensions().get::<MatchedPath>().cloned() else {
            return Box::pin(self.inner.call(request));
        };
        // The one that was polled is ready; its clone is not.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let check = Arc::clone(&self.check);
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match check.check(Operation::Http(&parts.method, route.as_str()), &parts.headers).await {
                Ok(caller) => {
                    if let (Some(caller), Some(context)) = (caller, RequestContext::current()) {
                        context.set_caller(caller);
                    }
                    inner.call(Request::from_parts(parts, body)).await
                }
                Err(denied) => Ok(HttpError::from(denied).into_response()),
            }
        })
    }
}
