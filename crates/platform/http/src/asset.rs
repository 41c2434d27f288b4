//! The files of a web page, embedded in the program.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, StatusCode};
use kennel_core::ErrorKind;

use crate::etag::{ETag, IfNoneMatch};
use crate::problem::HttpError;

/// A file.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// Its path, which starts with a slash.
    pub path: &'static str,
    /// Its content type.
    pub content_type: &'static str,
    /// Its content.
    pub content: &'static str,
}

/// The routes of the files, with entity tags and `policy` as their content security policy.
pub fn routes<S: Clone + Send + Sync + 'static>(
    assets: impl IntoIterator<Item = Asset>,
    policy: &'static str,
) -> Router<S> {
    assets.into_iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(async move |known: IfNoneMatch| serve(asset, policy, &known)))
    })
}

fn serve(asset: Asset, policy: &'static str, known: &IfNoneMatch) -> Result<Response, HttpError> {
    let mut hasher = DefaultHasher::new();
    asset.content.hash(&mut hasher);
    let tag = ETag::strong(format!("{:016x}", hasher.finish()));
    let tag = tag.map_err(|error| HttpError::from_error(ErrorKind::Internal, error))?;
    let headers = [
        (CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy)),
    ];
    if known.matches(&tag) {
        return Ok((StatusCode::NOT_MODIFIED, tag, headers).into_response());
    }
    Ok((tag, headers, [(CONTENT_TYPE, asset.content_type)], asset.content).into_response())
}
