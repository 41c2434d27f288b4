//! The OpenAPI document without its operations.

use utoipa::openapi::OpenApi;
use utoipa::openapi::tag::TagBuilder;

const TAGS: [(&str, &str); 5] = [
    ("dogs", "Fetch, list, create, read, update, delete and import dogs."),
    ("photos", "The images of dogs."),
    ("breeds", "The known breeds."),
    ("events", "The stream of events. `asyncapi.yaml` describes the events."),
    ("service", "The service itself."),
];

/// The document without its operations.
pub(super) fn base() -> OpenApi {
    let mut document = kennel_http::openapi::document("Dogs", "Dogs, their images, and their events.");
    let tag = |(name, text)| TagBuilder::new().name(name).description(Some(text)).build();
    document.tags = Some(TAGS.map(tag).into());
    document
}
