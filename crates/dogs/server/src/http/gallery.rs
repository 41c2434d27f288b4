//! The gallery: a web page over the API. Its files are embedded in the binary.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kennel_http::{ETag, IfNoneMatch};

use super::errors::ApiError;

/// Allows only the page's own files and images from any host that dogs link to, and no text as markup or code.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' https: http:; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";

#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    content_type: &'static str,
    content: &'static str,
}

/// A file of the folder `gallery`, served under its own name.
macro_rules! file {
    ($name:literal, $content_type:literal) => {
        File {
            path: concat!("/gallery/", $name),
            content_type: $content_type,
            content: include_str!(concat!("gallery/", $name)),
        }
    };
    ($name:literal) => {
        file!($name, "text/javascript; charset=utf-8")
    };
}

const FILES: [File; 12] = [
    File { path: "/", content_type: "text/html; charset=utf-8", content: include_str!("gallery/index.html") },
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
    FILES.into_iter().fold(Router::new(), |router, file| {
        router.route(file.path, get(async move |known: IfNoneMatch| serve(file, &known)))
    })
}

fn serve(file: File, known: &IfNoneMatch) -> Result<Response, ApiError> {
    let mut hasher = DefaultHasher::new();
    file.content.hash(&mut hasher);
    let tag = ETag::strong(format!("{:016x}", hasher.finish()))?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
    ];
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, headers).into_response());
    }
    Ok((tag, headers, [(CONTENT_TYPE, file.content_type)], file.content).into_response())
}
