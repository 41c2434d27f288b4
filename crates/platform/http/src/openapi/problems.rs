//! The problem responses of operations, each described once and referenced by name.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, OpenApi, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{IntoResponses, ToSchema as _};

use crate::problem::{CONTENT_TYPE_PROBLEM, Problem};

/// Defines a type per problem for `#[utoipa::path]`, and the function `all` that lists them. A service defines its own
/// problems with it, in a module, and adds them to its description with `add`.
#[macro_export]
macro_rules! problem_responses {
    ($($name:ident = $status:literal $title:literal $code:literal, $description:literal, $detail:expr;)*) => {
        $(
            #[doc = $description]
            #[derive(Debug)]
            pub struct $name;

            impl<'r> utoipa::ToResponse<'r> for $name {
                fn response() -> (&'r str, utoipa::openapi::RefOr<utoipa::openapi::Response>) {
                    let response =
                        $crate::openapi::problems::describe($status, $title, $code, $description, $detail);
                    (stringify!($name), response.into())
                }
            }
        )*

        /// Every problem, by the name that operations reference.
        pub fn all() -> Vec<(String, utoipa::openapi::RefOr<utoipa::openapi::Response>)> {
            vec![$({
                let (name, response) = <$name as utoipa::ToResponse>::response();
                (name.to_owned(), response)
            }),*]
        }
    };
}

problem_responses! {
    Malformed = 400 "Bad Request" "malformed", "The request is malformed.",
        Some(("the body is not JSON: expected `,` or `}` at line 1 column 18", None));
    Unauthenticated = 401 "Unauthorized" "unauthenticated", "The request has no valid credentials.",
        Some(("the token has expired", None));
    PermissionDenied = 403 "Forbidden" "permission_denied", "The caller may not do this.",
        Some(("the scope dogs:write is required", None));
    NotFound = 404 "Not Found" "not_found", "The resource does not exist.",
        Some(("there is no resource 0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10", None));
    ClientTimeout = 408 "Request Timeout" "client_timeout", "No byte of the body arrived for too long.",
        Some(("no byte of the body arrived for 30s", None));
    PreconditionFailed = 412 "Precondition Failed" "precondition_failed", "The current revision does not match `If-Match`.",
        Some(("the resource has been changed by someone else", None));
    TooLarge = 413 "Payload Too Large" "too_large", "The body is larger than the limit.",
        Some(("the body is larger than this resource takes", None));
    UnsupportedMediaType = 415 "Unsupported Media Type" "unsupported_media_type",
        "The content type of the body is not supported.",
        Some(("the content type must be application/json", None));
    RangeNotSatisfiable = 416 "Range Not Satisfiable" "range_not_satisfiable",
        "The range does not exist in the content; `Content-Range` has its length.", None;
    Invalid = 422 "Unprocessable Entity" "invalid", "A value is invalid; `errors` names the field.",
        Some(("limit: must be 1 to 1000", Some("limit")));
    RateLimited = 429 "Too Many Requests" "rate_limited", "The caller made too many requests.",
        Some(("100 requests in an hour are allowed", None));
    Internal = 500 "Internal Server Error" "internal", "An internal error; the log of the service has the details.", None;
    BadUpstream = 502 "Bad Gateway" "bad_upstream", "Another service sent an unusable response.", None;
    Unavailable = 503 "Service Unavailable" "unavailable",
        "The service is overloaded, or a dependency is unavailable.", None;
    Timeout = 504 "Gateway Timeout" "timeout", "The request was not completed in time.", None;
}

/// The problems that every operation can return.
#[derive(Debug)]
pub struct Failures;

impl IntoResponses for Failures {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        named(&[("500", "Internal"), ("503", "Unavailable"), ("504", "Timeout")])
    }
}

/// The problems of a body: those of [`Json`](crate::Json) and of reading it.
#[derive(Debug)]
pub struct InvalidBody;

impl IntoResponses for InvalidBody {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        named(&[
            ("400", "Malformed"),
            ("408", "ClientTimeout"),
            ("413", "TooLarge"),
            ("415", "UnsupportedMediaType"),
            ("422", "Invalid"),
        ])
    }
}

fn named(problems: &[(&str, &str)]) -> BTreeMap<String, RefOr<Response>> {
    problems.iter().map(|(status, name)| ((*status).to_owned(), RefOr::Ref(Ref::from_response_name(*name)))).collect()
}

/// Adds `problems` to the components of a description, so that operations can reference them.
pub fn add(api: &mut OpenApi, problems: Vec<(String, RefOr<Response>)>) {
    api.components.get_or_insert_default().responses.extend(problems);
}

/// The response of one problem. `detail` is its detail in the example, and the field at fault if it begins with one.
pub fn describe(
    status: u16,
    title: &str,
    code: &str,
    description: &str,
    detail: Option<(&str, Option<&str>)>,
) -> Response {
    let schema = Ref::from_schema_name(Problem::name());
    let example = example(status, title, code, detail);
    let content = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    let response = ResponseBuilder::new().description(description).content(CONTENT_TYPE_PROBLEM, content);
    let header = match status {
        401 => Some(("WWW-Authenticate", Type::String, "How to authenticate.")),
        429 | 503 => Some(("Retry-After", Type::Integer, "Seconds to wait before a retry.")),
        416 => Some(("Content-Range", Type::String, "`bytes */` and the length of the content.")),
        _ => None,
    };
    let Some((name, kind, text)) = header else { return response.build() };
    let schema = ObjectBuilder::new().schema_type(kind).build();
    response.header(name, HeaderBuilder::new().schema(Some(schema)).description(Some(text)).build()).build()
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
