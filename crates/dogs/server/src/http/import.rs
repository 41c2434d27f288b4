//! Import: dogs by the million, one JSON object a line, read as they come.

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
use kennel_http::HttpError;
use utoipa::IntoParams;

use super::Shared;
use super::documents::{ReportDocument, RowDocument};
use super::errors::{ApiError, header_text};
use super::problems::{self, Failures};
use crate::patience::patient;

/// Imports that run at a time; more are told to come back.
pub(super) const MAX_IMPORTS: usize = 4;
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MEDIA_TYPES: [&str; 4] =
    ["application/x-ndjson", "application/ndjson", "application/jsonl", "application/json-lines"];

/// The name of an import.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "only describes what `header_text` reads")]
struct KeyParams {
    /// Names the import: 1 to 128 visible ASCII characters.
    #[param(rename = "Idempotency-Key", nullable = false, min_length = 1, max_length = 128, pattern = "^[!-~]*$")]
    key: Option<String>,
}

/// Import dogs
///
/// One JSON object a line. Lines are stored in batches as they come; lines with faults are left out and told in the
/// report. An import that was interrupted goes on when the same lines are sent again under the same
/// `Idempotency-Key`: nothing is doubled. Answers carry the key, also when the service had to make one.
#[utoipa::path(
    post, path = "/api/v1/dogs/import", tag = "dogs", operation_id = "importDogs",
    params(KeyParams),
    request_body(content = RowDocument, content_type = "application/x-ndjson",
        description = "Any number of lines, 65,536 bytes each at most. The schema is that of one line."),
    responses(
        (status = 200, description = "The import is done; single lines may have been refused.", body = ReportDocument,
            headers(("Idempotency-Key" = String, description = "The import's key."))),
        (status = 400, response = problems::Malformed),
        (status = 408, response = problems::ClientTimeout),
        (status = 415, response = problems::UnsupportedMediaType),
        (status = 422, response = problems::Invalid),
        Failures,
    ),
)]
pub(super) async fn import(
    State(shared): State<Arc<Shared>>,
    stop: Option<Extension<Stop>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let stop = stop.map(|Extension(stop)| stop).unwrap_or_default();
    let key = match header_text(&headers, &IDEMPOTENCY_KEY) {
        Ok(key) => key.map_or_else(|| shared.api.ids.next().to_string(), str::to_owned),
        Err(error) => return error.into_response(),
    };
    let mut response = match run(&shared, &headers, &stop, &key, body).await {
        Ok(report) => axum::Json(report).into_response(),
        Err(error) => error.into_response(),
    };
    if let Ok(key) = HeaderValue::from_str(&key) {
        response.headers_mut().insert(IDEMPOTENCY_KEY, key);
    }
    response
}

async fn run(
    shared: &Shared,
    headers: &HeaderMap,
    stop: &Stop,
    key: &str,
    body: Body,
) -> Result<ReportDocument, ApiError> {
    if !is_ndjson(headers) {
        let error = HttpError::new(ErrorKind::UnsupportedMediaType);
        return Err(error.with_detail("the content type must be application/x-ndjson").into());
    }
    let _place = shared.imports.try_acquire().map_err(|_| ApiError::overloaded("too many imports run already"))?;
    let rows = lines(patient(stop.clone(), body.into_data_stream()));
    match shared.api.service.import(key, rows, |_| {}).await {
        Ok(report) => Ok(report.into()),
        // The caller did nothing wrong, and can go on with another process.
        Err(DogError::Interrupted { .. }) if stop.is_requested() => {
            Err(ApiError::overloaded("the process stops; send the import again to go on"))
        }
        Err(error) => Err(interrupted(&error).unwrap_or_else(|| error.into())),
    }
}

/// What to answer a caller who fell silent amid the import.
fn interrupted(error: &DogError) -> Option<ApiError> {
    let DogError::Interrupted { source, .. } = error else { return None };
    let refusal = kennel_http::body::classify(&**source);
    let is_silence = refusal.kind() == ErrorKind::ClientTimeout;
    is_silence.then(|| refusal.with_detail(error.to_string()).into())
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim();
    MEDIA_TYPES.iter().any(|known| known.eq_ignore_ascii_case(media_type))
}
