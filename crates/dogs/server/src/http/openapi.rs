//! The OpenAPI document without its operations.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use kennel_http::openapi::problems;

/// The document without its operations.
pub(super) fn base() -> OpenApi {
    let mut document = BaseDocument::openapi();
    document.servers = Some(vec![kennel_http::openapi::server()]);
    problems::add(&mut document, problems::all());
    document
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Dogs",
        description = "Dogs, their images, and their events.\n\n\
            Every error is a problem document (RFC 9457); `code` identifies the problem. \
            Every response has an `X-Request-Id`, the id of the request in the logs of the service.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "dogs", description = "Fetch, list, create, read, update, delete and import dogs."),
        (name = "photos", description = "The images of dogs."),
        (name = "breeds", description = "The known breeds."),
        (name = "events", description = "The stream of events. `asyncapi.yaml` describes the events."),
        (name = "service", description = "The service itself."),
    ),
    components(schemas(kennel_http::Problem, kennel_http::FieldError)),
)]
struct BaseDocument;
