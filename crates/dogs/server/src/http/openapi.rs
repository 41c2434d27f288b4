//! The frame of the OpenAPI document: what all operations share.

use utoipa::OpenApi as _;
use utoipa::openapi::OpenApi;

use super::problems;

/// The document without its operations.
pub(super) fn base() -> OpenApi {
    let mut document = Frame::openapi();
    document.servers = Some(vec![kennel_http::openapi::server()]);
    if let Some(components) = document.components.as_mut() {
        components.responses.extend(problems::all());
    }
    document
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Dogs",
        description = "Dogs, their pictures, and what happens to them.\n\n\
            Every error is a problem document (RFC 9457); `code` tells problems apart. \
            Every answer carries `X-Request-Id`, the id under which the service's logs know the request.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "dogs", description = "Fetch, list, make, read, change, remove and import dogs."),
        (name = "photos", description = "The pictures of dogs."),
        (name = "breeds", description = "The breeds there are."),
        (name = "events", description = "What happens, as it happens. `asyncapi.yaml` describes the events."),
        (name = "service", description = "The service itself."),
    ),
    components(schemas(kennel_http::Problem, kennel_http::FieldError)),
)]
struct Frame;
