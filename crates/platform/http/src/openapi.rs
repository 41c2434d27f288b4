//! The API's description and a page to read and try it with, both served from the binary.
//!
//! Whatever they link to is relative, so that they also work behind a proxy that adds a prefix to every path. For the calls that
//! the page makes, the description has to name [`server`].

mod parameters;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use kennel_core::ErrorKind;
use utoipa::openapi::{OpenApi, Server, ServerBuilder};
use utoipa_swagger_ui::{Config, serve};

pub use self::parameters::allow_empty_queries;
use crate::problem::HttpError;

/// Where the description is.
pub const DESCRIPTION: &str = "/openapi.json";
/// Where the page is.
pub const PAGE: &str = "/documentation";
/// Where [`DESCRIPTION`] is, from [`PAGE`].
const DESCRIPTION_FROM_PAGE: &str = "../openapi.json";

/// The server that a description names: the one it was read from, under the same prefix.
pub fn server() -> Server {
    ServerBuilder::new().url(".").description(Some("This service; relative to this document")).build()
}

/// What the page needs: its own scripts, styles set by them, pictures in them, and calls to the API beside it.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Routes for the description, the page, and `/swagger`, which leads to the page.
pub fn routes(api: &OpenApi) -> Result<Router, serde_json::Error> {
    let description = Bytes::from(api.to_json()?);
    let page = Arc::new(Config::from(DESCRIPTION_FROM_PAGE).try_it_out_enabled(true).validator_url("none"));
    let to_page = |target: &'static str| move || async move { Redirect::permanent(target) };
    let index = Arc::clone(&page);
    let assets = move |Path(file): Path<String>| async move { asset(&file, page) };
    Ok(Router::new()
        .route(DESCRIPTION, get(move || async move { ([(CONTENT_TYPE, "application/json")], description) }))
        .route(PAGE, get(to_page("documentation/")))
        .route("/swagger", get(to_page("documentation/")))
        .route("/swagger/", get(to_page("../documentation/")))
        .route(PAGE_INDEX, get(move || async move { asset("index.html", index) }))
        .route("/documentation/{*file}", get(assets)))
}

const PAGE_INDEX: &str = "/documentation/";

fn asset(file: &str, page: Arc<Config<'static>>) -> Response {
    match serve(file, page) {
        Ok(Some(found)) => {
            let mut headers = HeaderMap::new();
            if let Ok(content_type) = HeaderValue::from_str(&found.content_type) {
                headers.insert(CONTENT_TYPE, content_type);
            }
            if found.gzpipped {
                headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
            headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(PAGE_POLICY));
            (headers, found.bytes.into_owned()).into_response()
        }
        Ok(None) => HttpError::new(ErrorKind::NotFound).into_response(),
        Err(error) => HttpError::new(ErrorKind::Internal).with_source(error.to_string()).into_response(),
    }
}
