//! The HTTP API: the files of the bundled animations, which gif-files downloads as it downloads those of other providers.

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::response::IntoResponse;
use kennel_core::ErrorKind;
use kennel_http::openapi::problems::{Failures, NotFound};
use kennel_http::{HttpError, Path};
use kennel_service::OpenApiRouter;
use utoipa_axum::routes;

use crate::providers::local;
use crate::service::GifStorage;

pub(crate) fn routes() -> OpenApiRouter<GifStorage> {
    let description = "The files of the bundled animations. GIFs are found by gRPC.";
    OpenApiRouter::with_openapi(kennel_http::openapi::document("GIF storage", description)).routes(routes!(file))
}

/// Download a bundled animation
#[utoipa::path(get, path = "/local/{file}", operation_id = "getLocalGif",
    params(("file" = String, Path, description = "The name of the file, such as `cat-jump.gif`.")),
    responses(
        (status = 200, content_type = "image/gif", description = "The file."),
        (status = 404, response = NotFound), Failures))]
async fn file(name: Path<String>) -> Result<impl IntoResponse, HttpError> {
    let bytes = name.0.strip_suffix(".gif").and_then(local::bytes);
    let bytes = bytes.ok_or_else(|| HttpError::new(ErrorKind::NotFound).with_detail("no animation has this name"))?;
    let headers =
        [(CONTENT_TYPE, "image/gif"), (CACHE_CONTROL, "public, max-age=86400"), (X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((StatusCode::OK, headers, bytes))
}
