//! The files of a web page, embedded in the program.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};

use crate::etag::{ETag, IfNoneMatch};
use crate::problem::HttpError;

/// A web page: its files, which anyone may read.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// Its content security policy.
    pub policy: &'static str,
    /// Its files.
    pub files: &'static [Asset],
}

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its path, which starts with a slash. The ending of its name determines the content type; without one, it is HTML.
    pub path: &'static str,
    /// Its content.
    pub content: &'static str,
}

impl Page {
    /// The routes of the files, with entity tags.
    pub fn routes<S: Clone + Send + Sync + 'static>(self) -> Router<S> {
        self.files.iter().fold(Router::new(), |router, &asset| {
            router.route(asset.path, get(async move |known: IfNoneMatch| serve(asset, self.policy, &known)))
        })
    }

    /// The routes of the files, for access rules.
    pub fn operations(self) -> impl Iterator<Item = String> {
        self.files.iter().map(|asset| format!("GET {}", asset.path))
    }
}

impl Asset {
    fn content_type(&self) -> &'static str {
        match self.path.rsplit_once('.').map(|(_, ending)| ending) {
            Some("css") => "text/css; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/html; charset=utf-8",
        }
    }
}

fn serve(asset: Asset, policy: &'static str, known: &IfNoneMatch) -> Result<Response, HttpError> {
    let mut hasher = DefaultHasher::new();
    asset.content.hash(&mut hasher);
    let tag = ETag::strong(format!("{:016x}", hasher.finish()))?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, headers).into_response());
    }
    Ok((tag, headers, [(CONTENT_TYPE, asset.content_type())], asset.content).into_response())
}
