//! Imports dogs from a stream of NDJSON.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Extension, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use dogs_domain::DogError;
use dogs_domain::import::lines;
use kennel_app::Stop;
use kennel_core::ErrorKind;
use kennel_http::openapi::problems::{self, Failures};
use kennel_http::{HttpError, header_text};
use kennel_net::with_idle_timeout;
use utoipa::IntoParams;

use super::ApiContext;
use super::bodies::{ImportReportResponse, ImportRowRequest};
use super::errors::ApiError;

/// Maximum number of running imports; further requests are rejected with 503.
pub(super) const MAX_IMPORTS: usize = 4;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MEDIA_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"];

/// The key of an import.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct KeyParams {
    /// Identifies the import, so that it can be resumed: 1 to 128 visible ASCII characters.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 128, pattern = "^[!-~]*$")]
    key: Option<String>,
}

/// Import dogs
///
/// One JSON object per line. Lines are stored in batches as they arrive; invalid lines are skipped and listed in the
/// report. To resume an interrupted import, send the same lines with the same `Idempotency-Key`: no dog is created twice.
/// The response has the key, also when the service generated it.
#[utoipa::path(
    post, path = "/api/v1/dogs/import", tag = "dogs", operation_id = "importDogs",
    params(KeyParams),
    request_body(content = ImportRowRequest, content_type = "application/x-ndjson",
        description = "Any number of lines of at most 65,536 bytes. The schema describes one line."),
    responses(
        (status = 200, description = "The import is complete; some lines may have been rejected.", body = ImportReportResponse,
            headers(("Idempotency-Key" = String, description = "The key of the import."))),
        (status = 400, response = problems::Malformed),
        (status = 408, response = problems::ClientTimeout),
        (status = 415, response = problems::UnsupportedMediaType),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn import(
    State(context): State<Arc<ApiContext>>,
    stop: Option<Extension<Stop>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let stop = stop.map(|Extension(stop)| stop).unwrap_or_default();
    let key = match header_text(&headers, &IDEMPOTENCY_KEY) {
        Ok(key) => key.map_or_else(|| context.api.ids.next().to_string(), str::to_owned),
        Err(error) => return error.into_response(),
    };
    let mut response = match run(&context, &headers, &stop, &key, body).await {
        Ok(report) => axum::Json(report).into_response(),
        Err(error) => error.into_response(),
    };
    if let Ok(key) = HeaderValue::from_str(&key) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    response
}

async fn run(
    context: &ApiContext,
    headers: &HeaderMap,
    stop: &Stop,
    key: &str,
    body: Body,
) -> Result<ImportReportResponse, ApiError> {
    if !is_ndjson(headers) {
        let error = HttpError::new(ErrorKind::UnsupportedMediaType);
        return Err(error.with_detail("the content type must be application/x-ndjson").into());
    }
    let _permit = context.imports.try_acquire().map_err(|_| HttpError::overloaded("too many running imports"))?;
    let rows = lines(with_idle_timeout(stop.clone(), body.into_data_stream()));
    match context.api.service.import(key, rows, |_| {}).await {
        Ok(report) => Ok(report.into()),
        // The client can resume the import at another replica.
        Err(DogError::Interrupted { .. }) if stop.is_requested() => {
            Err(HttpError::overloaded("the process is stopping; send the import again to resume it").into())
        }
        Err(error) => Err(idle_response(&error).unwrap_or_else(|| error.into())),
    }
}

/// The response to a client that sent nothing for too long.
fn idle_response(error: &DogError) -> Option<ApiError> {
    let DogError::Interrupted { source, .. } = error else { return None };
    let error_response = kennel_http::body::classify(&**source);
    let is_timeout = error_response.kind() == ErrorKind::ClientTimeout;
    is_timeout.then(|| error_response.with_detail(error.to_string()).into())
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type))
}
