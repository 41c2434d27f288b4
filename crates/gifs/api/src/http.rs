//! The HTTP API.

mod file;
mod page;
mod requests;

use axum::extract::State;
use axum::http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use gifs_domain::catalogue::{Language, Rating};
use gifs_domain::requests::{FindRequest, QueryText, Wanted};
use kennel_core::ErrorKind;
use kennel_http::openapi::problems::{BadUpstream, Failures, Invalid, NotFound};
use kennel_http::{HttpError, Json, Path, Query};
use kennel_service::{AccessRules, OpenApiRouter};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::{GifPage, GifResponse};
use crate::errors::{failed, unanswered};
use crate::history::Outcome;
use crate::service::GifApi;

/// Whether an answer is from the cache: `hit`, `miss` or `stale`.
const X_CACHE: HeaderName = HeaderName::from_static("x-cache");
/// Browsers ask again; the cache is ours.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Who may call which operation.
pub(crate) fn access() -> AccessRules {
    AccessRules::new().public(page::PAGE.operations()).scope(
        "gifs:read",
        [
            "GET /api/v1/gifs/search",
            "GET /api/v1/gifs/trending",
            "GET /api/v1/gifs/random",
            "GET /api/v1/gifs/{id}",
            "GET /api/v1/gifs/{id}/file",
            "GET /api/v1/requests",
        ],
    )
}

pub(crate) fn routes() -> OpenApiRouter<GifApi> {
    let description = "Searches for GIFs, and their files. Show the attribution next to the GIFs.";
    OpenApiRouter::with_openapi(kennel_http::openapi::document("GIFs", description))
        .routes(routes!(search))
        .routes(routes!(trending))
        .routes(routes!(random))
        .routes(routes!(get))
        .routes(routes!(file::file))
        .routes(routes!(requests::list))
        .merge(page::PAGE.routes().into())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct SearchParams {
    /// What to search for: 1 to 50 characters. Case, width and spacing make no difference.
    #[param(min_length = 1, max_length = 50, example = "cat")]
    q: String,
    /// The highest rating: `g` (the default), `pg`, `pg-13` or `r`.
    #[param(default = "g")]
    rating: Option<String>,
    /// Language of the text by ISO 639-1.
    #[param(pattern = "^[A-Za-z]{2}$", example = "en")]
    lang: Option<String>,
    /// The start of the page: `next` of the previous page.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct TrendingParams {
    /// The highest rating: `g` (the default), `pg`, `pg-13` or `r`.
    #[param(default = "g")]
    rating: Option<String>,
    /// The start of the page: `next` of the previous page.
    cursor: Option<String>,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RandomParams {
    /// What the GIF has to match: at most 50 characters.
    tag: Option<String>,
    /// The highest rating: `g` (the default), `pg`, `pg-13` or `r`.
    #[param(default = "g")]
    rating: Option<String>,
}

/// Search for GIFs
///
/// If no provider answers, the answer is an earlier one, or from the own catalogue.
#[utoipa::path(get, path = "/api/v1/gifs/search", operation_id = "searchGifs", params(SearchParams), responses(
    (status = 200, body = GifPage, description = "A page of GIFs.", headers(
        ("X-Cache" = String, description = "`hit`, `miss`, or `stale` if no provider answers now."),
        ("Age" = u64, description = "How old the answer is, in seconds."),
    )),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn search(api: State<GifApi>, params: Query<SearchParams>) -> Result<Response, HttpError> {
    let SearchParams { q, rating, lang, cursor } = params.0;
    let text = value::<QueryText>("q", &q)?;
    let language = optional::<Language>("lang", lang)?;
    page(&api, Wanted::Search(text, language), rating, cursor).await
}

/// Get popular GIFs
#[utoipa::path(get, path = "/api/v1/gifs/trending", operation_id = "getTrendingGifs", params(TrendingParams), responses(
    (status = 200, body = GifPage, description = "A page of GIFs.", headers(
        ("X-Cache" = String, description = "`hit`, `miss`, or `stale` if no provider answers now."),
        ("Age" = u64, description = "How old the answer is, in seconds."),
    )),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn trending(api: State<GifApi>, params: Query<TrendingParams>) -> Result<Response, HttpError> {
    page(&api, Wanted::Trending, params.0.rating, params.0.cursor).await
}

/// Get a random GIF
#[utoipa::path(get, path = "/api/v1/gifs/random", operation_id = "getRandomGif", params(RandomParams), responses(
    (status = 200, body = GifResponse, description = "The GIF."), (status = 404, response = NotFound),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn random(api: State<GifApi>, params: Query<RandomParams>) -> Result<impl IntoResponse, HttpError> {
    let (tag, rating) = (optional("tag", params.0.tag)?, rating(params.0.rating)?);
    let asked = api.history.random(tag.as_ref(), rating);
    let found = api.searches.random(tag.as_ref(), rating).await.map_err(failed);
    match &found {
        Ok(gif) => api.history.record(asked, Outcome::Miss, Some(gif.provider.clone()), 1),
        Err(error) => api.history.record(asked, error.kind().into(), None, 0),
    }
    let gif = found?;
    Ok(([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(gif)))
}

/// Get a GIF
#[utoipa::path(get, path = "/api/v1/gifs/{id}", operation_id = "getGif",
    params(("id" = Uuid, Path, description = "The GIF's id.")), responses(
    (status = 200, body = GifResponse, description = "The GIF."), (status = 404, response = NotFound),
    (status = 422, response = Invalid), (status = 502, response = BadUpstream), Failures))]
async fn get(api: State<GifApi>, id: Path<Uuid>) -> Result<impl IntoResponse, HttpError> {
    let gif = api.searches.get(id.0).await.map_err(failed)?;
    Ok(([(CACHE_CONTROL, NO_CACHE)], Json(gif)))
}

/// A page of what is wanted, with how old it is.
async fn page(
    api: &GifApi,
    wanted: Wanted,
    highest: Option<String>,
    cursor: Option<String>,
) -> Result<Response, HttpError> {
    let request = FindRequest { wanted, rating: rating(highest)?, page: optional("cursor", cursor)? };
    let asked = api.history.page(&request);
    let (found, status) = match api.searches.find(&request).await.map_err(unanswered) {
        Ok(found) => found,
        Err(error) => {
            api.history.record(asked, error.kind().into(), None, 0);
            return Err(error);
        }
    };
    api.history.answered(asked, status, &found);
    let headers = [(X_CACHE, HeaderValue::from_static(status.name())), (CACHE_CONTROL, NO_CACHE)];
    let age = api.searches.age(&found).map(|age| [(AGE, HeaderValue::from(age.as_secs()))]);
    let json = found.json().map_err(|error| HttpError::from_error(ErrorKind::Internal, error))?;
    let content_type = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    Ok((headers, age, content_type, json).into_response())
}

fn rating(name: Option<String>) -> Result<Rating, HttpError> {
    Ok(optional("rating", name)?.unwrap_or_default())
}

fn optional<T: std::str::FromStr<Err: ToString>>(
    name: &'static str,
    text: Option<String>,
) -> Result<Option<T>, HttpError> {
    text.map(|text| value(name, &text)).transpose()
}

fn value<T: std::str::FromStr<Err: ToString>>(name: &'static str, text: &str) -> Result<T, HttpError> {
    text.parse().map_err(|error: T::Err| HttpError::invalid(name, error.to_string()))
}
