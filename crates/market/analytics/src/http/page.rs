//! The page: a live chart, and a table of the same candles. Its files are embedded in the binary.

use axum::Router;
use kennel_http::asset::{self, Asset};

/// Allows only the page's own files and an empty icon.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'";

const FILES: [Asset; 3] = [
    Asset { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("page/index.html") },
    Asset { path: "/page/style.css", content_type: "text/css; charset=utf-8", content: include_str!("page/style.css") },
    Asset {
        path: "/page/app.js",
        content_type: "text/javascript; charset=utf-8",
        content: include_str!("page/app.js"),
    },
];

/// The page and its files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    asset::routes(FILES, POLICY)
}
