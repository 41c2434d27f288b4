//! The problem responses of operations, each described once and referenced by name.

use kennel_http::Problem;
use kennel_http::problem::CONTENT_TYPE_PROBLEM;
use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder, ResponsesBuilder};
use utoipa::{IntoResponses, ToResponse, ToSchema as _};

/// Defines a type per problem for `#[utoipa::path]`, and the list of all problems.
macro_rules! problems {
    ($($name:ident = $status:literal $title:literal $code:literal, $description:literal, $detail:expr;)*) => {
        $(
            #[doc = $description]
            pub(super) struct $name;

            impl<'r> ToResponse<'r> for $name {
                fn response() -> (&'r str, RefOr<Response>) {
                    let example = example($status, $title, $code, $detail);
                    (stringify!($name), describe($status, $description, example).into())
                }
            }
        )*

        /// Every problem, by the name that operations reference.
        pub(super) fn all() -> Vec<(String, RefOr<Response>)> {
            vec![$({
                let (name, response) = $name::response();
                (name.to_owned(), response)
            }),*]
        }
    };
}

problems! {
    Malformed = 400 "Bad Request" "malformed", "The request is malformed.",
        Some(("the body is not JSON: expected `,` or `}` at line 1 column 18", None));
    NotFound = 404 "Not Found" "not_found", "The resource does not exist.",
        Some(("there is no breed `unicorn`", None));
    ClientTimeout = 408 "Request Timeout" "client_timeout", "No byte of the body arrived for too long.",
        Some(("no byte of the body arrived for 30s", None));
    PreconditionFailed = 412 "Precondition Failed" "precondition_failed", "The current revision does not match `If-Match`.",
        Some(("the dog 0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10 has been changed by someone else", None));
    TooLarge = 413 "Payload Too Large" "too_large", "The body is larger than the limit.",
        Some(("the image is larger than 10485760 bytes", None));
    UnsupportedMediaType = 415 "Unsupported Media Type" "unsupported_media_type",
        "The content type of the body is not supported.",
        Some(("the content type must be application/json", None));
    RangeNotSatisfiable = 416 "Range Not Satisfiable" "range_not_satisfiable",
        "The range does not exist in the image; `Content-Range` has the length of the image.", None;
    Invalid = 422 "Unprocessable Entity" "invalid", "A value is invalid; `errors` names the field.",
        Some(("breed: must be one to four words of a-z and 0-9, at most 64 characters", Some("breed")));
    Internal = 500 "Internal Server Error" "internal", "An internal error; the log of the service has the details.", None;
    BadUpstream = 502 "Bad Gateway" "bad_upstream", "The source of dogs sent an unusable response.", None;
    Unavailable = 503 "Service Unavailable" "unavailable",
        "The service is overloaded, or a dependency is unavailable.", None;
    Timeout = 504 "Gateway Timeout" "timeout", "The request was not completed in time.", None;
}

/// The problems that every operation can return.
pub(super) struct Failures;

impl IntoResponses for Failures {
    fn responses() -> std::collections::BTreeMap<String, RefOr<Response>> {
        let named = |name| RefOr::Ref(Ref::from_response_name(name));
        ResponsesBuilder::new()
            .response("500", named("Internal"))
            .response("503", named("Unavailable"))
            .response("504", named("Timeout"))
            .build()
            .responses
    }
}

fn example(status: u16, title: &str, code: &str, detail: Option<(&str, Option<&str>)>) -> Value {
    let mut example = json!({
        "type": "about:blank",
        "title": title,
        "status": status,
        "code": code,
        "request_id": "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a11",
    });
    if let Some((detail, field)) = detail {
        example["detail"] = detail.into();
        if let Some(field) = field {
            let reason = detail.strip_prefix(field).and_then(|rest| rest.strip_prefix(": "));
            example["errors"] = json!([{ "field": field, "reason": reason }]);
        }
    }
    example
}

fn describe(status: u16, description: &str, example: Value) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    let response = ResponseBuilder::new().description(description).content(CONTENT_TYPE_PROBLEM, content);
    let header = match status {
        503 => Some(("Retry-After", Type::Integer, "Seconds to wait before a retry.")),
        416 => Some(("Content-Range", Type::String, "`bytes */` and the length of the image.")),
        _ => None,
    };
    let Some((name, kind, text)) = header else { return response.build() };
    let schema = ObjectBuilder::new().schema_type(kind).build();
    response.header(name, HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build()).build()
}

#[cfg(test)]
mod tests {
    use kennel_core::ErrorKind;

    use super::*;

    #[test]
    fn examples_match_the_responses_of_the_service() {
        for (name, response) in all() {
            let RefOr::T(response) = response else { panic!("{name} is a reference") };
            let RefOr::T(content) = &response.content[CONTENT_TYPE_PROBLEM] else { panic!("{name} has no example") };
            let example = content.example.clone().unwrap();
            let known = ErrorKind::ALL.iter().find(|kind| kind.codes().code == example["code"]);
            let Some(kind) = known else {
                assert_eq!(name, "RangeNotSatisfiable");
                continue;
            };
            assert_eq!(example["status"], kind.codes().http, "{name}");
            assert_eq!(example.get("detail").is_some(), kind.is_client(), "{name}");
        }
    }
}
