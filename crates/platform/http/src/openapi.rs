//! The OpenAPI description and Swagger UI, both served from the binary.
//!
//! All their links are relative, so that they also work behind a proxy that adds a prefix to every path. The
//! description has to name [`server`], or the calls of Swagger UI go to the wrong path.

mod parameters;
pub mod problems;
mod security;

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use kennel_core::ErrorKind;
use utoipa::OpenApi as _;
use utoipa::openapi::{OpenApi, Server, ServerBuilder};
use utoipa_swagger_ui::{Config, serve};

pub use self::parameters::allow_empty_queries;
pub use self::security::secure;
use crate::problem::HttpError;

/// Path of the description.
pub const DESCRIPTION: &str = "/openapi.json";
/// Path of Swagger UI.
pub const PAGE: &str = "/documentation";
/// URL of [`DESCRIPTION`], relative to [`PAGE`].
const DESCRIPTION_FROM_PAGE: &str = "../openapi.json";

/// The server that a description names: the one that served it, under the same prefix.
pub fn server() -> Server {
    ServerBuilder::new().url(".").description(Some("This service; relative to this document")).build()
}

/// Content security policy of Swagger UI: own scripts, inline styles, images in data URLs, and calls to this origin.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
    img-src 'self' data:; font-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

/// A description without operations: its title, the license, this server, and the problems that operations refer to.
pub fn document(title: &str, description: &str) -> OpenApi {
    let mut document = Standard::openapi();
    title.clone_into(&mut document.info.title);
    document.info.description = Some(format!("{description}\n\n{CONVENTIONS}"));
    document.servers = Some(vec![server()]);
    problems::add(&mut document, problems::all());
    document
}

const CONVENTIONS: &str = "Every error is a problem document (RFC 9457); `code` identifies the problem. \
    Every response has an `X-Request-Id`, the id of the request in the logs of the service.";

#[derive(utoipa::OpenApi)]
#[openapi(
    info(license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0")),
    components(schemas(crate::Problem, crate::FieldError))
)]
struct Standard;

/// Routes for the description, Swagger UI, and `/swagger`, which redirects to Swagger UI.
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
