//! The methods of a route.

use axum::routing::MethodRouter;
use http::StatusCode;
use http::header::ALLOW;

/// Rejects HEAD, which would otherwise execute GET and discard the response: for a GET that has effects.
pub fn without_head<S: Clone + Send + Sync + 'static>(routes: MethodRouter<S>) -> MethodRouter<S> {
    routes.head(async || (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, "GET")]))
}
