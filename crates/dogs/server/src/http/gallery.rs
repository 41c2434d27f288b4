//! The gallery: a web page over the API. Its files are embedded in the binary.

use axum::Router;
use kennel_http::asset::{self, Asset};

/// Allows only the page's own files and images from any host that dogs link to, and no text as markup or code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

/// A file of the folder `gallery`, served under its own name.
macro_rules! file {
    ($name:literal, $content_type:literal) => {
        Asset {
            path: concat!("/gallery/", $name),
            content_type: $content_type,
            content: include_str!(concat!("gallery/", $name)),
        }
    };
    ($name:literal) => {
        file!($name, "text/javascript; charset=utf-8")
    };
}

const FILES: [Asset; 12] = [
    Asset { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("gallery/index.html") },
    file!("style.css", "text/css; charset=utf-8"),
    file!("icon.svg", "image/svg+xml"),
    file!("app.js"),
    file!("api.js"),
    file!("dogs.js"),
    file!("forms.js"),
    file!("live.js"),
    file!("names.js"),
    file!("page.js"),
    file!("status.js"),
    file!("viewer.js"),
];

/// The page and its files.
pub(super) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    asset::routes(FILES, POLICY)
}
