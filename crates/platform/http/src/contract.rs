//! Handlers of an API whose contract is a document: they read the input of an operation, and fail with the errors that the
//! document declares.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{FromRequest as _, FromRequestParts as _, RawPathParams, Request};
use axum::response::{IntoResponse as _, Response};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use kennel_core::{ErrorKind, Failure, Principal, Validate, Violations};
use kennel_net::RequestContext;
use serde::Serialize;
use serde::de::value::{Error as ValueError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer as _};
use utoipa::openapi::OpenApi;

use crate::extract::{Json, header_text};
use crate::problem::{CONTENT_TYPE_PROBLEM, HttpError, Problem};
use crate::stack::SkipProblemDetails;

/// Reads a parameter from its text; the error is what it has to be.
pub type Read<T> = fn(&str) -> Result<T, String>;

/// A text with a format, or one of several texts.
pub fn text<T: DeserializeOwned>(value: &str) -> Result<T, String> {
    let deserializer: StrDeserializer<'_, ValueError> = value.into_deserializer();
    T::deserialize(deserializer).map_err(|error| error.to_string())
}

/// A whole number.
pub fn integer<T: FromStr>(value: &str) -> Result<T, String> {
    value.parse().map_err(|_| "must be a whole number in range".to_owned())
}

/// A number.
pub fn number(value: &str) -> Result<f64, String> {
    let number = value.parse().ok().filter(|number: &f64| number.is_finite());
    number.ok_or_else(|| "must be a number".to_owned())
}

/// A truth value.
pub fn boolean(value: &str) -> Result<bool, String> {
    value.parse().map_err(|_| "must be true or false".to_owned())
}

/// The input of an operation.
#[derive(Debug)]
pub struct Input {
    path: HashMap<String, String>,
    query: Vec<(String, String)>,
    request: Request,
}

impl Input {
    /// Takes a request apart; its body is read later.
    pub async fn new(request: Request) -> Result<Self, HttpError> {
        let (mut parts, body) = request.into_parts();
        let path = match RawPathParams::from_request_parts(&mut parts, &()).await {
            Ok(path) => path.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
            // It was not routed.
            Err(RawPathParamsRejection::MissingPathParams(_)) => HashMap::new(),
            Err(_) => return Err(HttpError::new(ErrorKind::Malformed).with_detail("the path is not valid UTF-8")),
        };
        let query = url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes());
        let query = query.into_owned().collect();
        Ok(Self { path, query, request: Request::from_parts(parts, body) })
    }

    fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// A parameter of the path.
    pub fn path<T>(&self, name: &str, read: Read<T>) -> Result<T, HttpError> {
        let value = self.path.get(name).map(String::as_str).unwrap_or_default();
        read(value).map_err(|reason| HttpError::invalid(name, reason))
    }

    /// A parameter of the query, which may be there once.
    pub fn query<T>(&self, name: &str, read: Read<T>) -> Result<Option<T>, HttpError> {
        let mut values = self.query.iter().filter(|(given, _)| given == name);
        let Some((_, value)) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(HttpError::invalid(name, "must be there once"));
        }
        read(value).map(Some).map_err(|reason| HttpError::invalid(name, reason))
    }

    /// A parameter of the query that is a list: it is repeated for every element.
    pub fn query_list<T>(&self, name: &str, read: Read<T>) -> Result<Option<Vec<T>>, HttpError> {
        let values = self.query.iter().filter(|(given, _)| given == name);
        let values: Vec<_> = values
            .map(|(_, value)| read(value))
            .collect::<Result<_, _>>()
            .map_err(|reason| HttpError::invalid(name, reason))?;
        Ok((!values.is_empty()).then_some(values))
    }

    /// A header, by its name in lower case.
    pub fn header<T>(&self, name: &'static str, read: Read<T>) -> Result<Option<T>, HttpError> {
        let Some(value) = header_text(self.headers(), &HeaderName::from_static(name))? else { return Ok(None) };
        read(value).map(Some).map_err(|reason| HttpError::invalid(name, reason))
    }

    /// The token of the header `Authorization`.
    pub fn bearer(&self) -> Result<&str, HttpError> {
        let value = self.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = value.and_then(|value| value.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
        token.ok_or_else(|| HttpError::new(ErrorKind::Unauthenticated).with_detail("a bearer token is required"))
    }

    /// The key in a header, by the name of the header in lower case.
    pub fn api_key(&self, header: &'static str) -> Result<&str, HttpError> {
        let value = self.headers().get(header).and_then(|value| value.to_str().ok());
        value.ok_or_else(|| {
            let challenge = HeaderValue::from_static("ApiKey");
            let error = HttpError::new(ErrorKind::Unauthenticated).with_challenge(challenge);
            error.with_detail(format!("the header {header} is required"))
        })
    }

    /// The body, an object.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, HttpError> {
        Ok(Json::from_request(self.request, &()).await?.0)
    }

    /// The body, an object, if there is one.
    pub async fn optional_json<T: DeserializeOwned>(self) -> Result<Option<T>, HttpError> {
        let (parts, body) = self.request.into_parts();
        let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), &()).await;
        let bytes = bytes.map_err(|error| crate::body::classify(&error))?;
        if bytes.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
            return Ok(None);
        }
        let request = Request::from_parts(parts, bytes.into());
        Ok(Some(Json::from_request(request, &()).await?.0))
    }
}

/// A parameter that has to be there.
pub fn required<T>(name: &str, value: Option<T>) -> Result<T, HttpError> {
    value.ok_or_else(|| HttpError::invalid(name, "is required"))
}

/// The input, if its contract allows it; all violations otherwise.
pub fn checked<T: Validate>(input: T) -> Result<T, HttpError> {
    let violations = Violations::of(&input);
    if violations.is_empty() {
        return Ok(input);
    }
    let error = HttpError::new(ErrorKind::Invalid);
    Err(violations.into_iter().fold(error, |error, found| error.with_field(found.field, found.reason)))
}

/// Sets the caller of the current request.
pub fn identify(principal: Principal) {
    if let Some(context) = RequestContext::current() {
        context.set_principal(principal);
    }
}

impl From<Failure> for HttpError {
    fn from(failure: Failure) -> Self {
        Self::from_error(failure.kind(), failure.into_cause())
    }
}

/// A response with a body in JSON.
pub fn json<T: Serialize>(status: u16, body: &T) -> Response {
    respond(status, axum::Json(body).into_response())
}

/// A response with a problem document as its body.
pub fn problem<T: Serialize>(status: u16, body: &T) -> Response {
    let mut response = json(status, body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_PROBLEM));
    response
}

/// A response without a body.
pub fn empty(status: u16) -> Response {
    respond(status, ().into_response())
}

/// The body is that of the contract: for errors, no layer replaces it.
fn respond(status: u16, mut response: Response) -> Response {
    if response.status().is_success() {
        *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(SkipProblemDetails);
    }
    response
}

/// An error that a contract declares.
#[derive(Debug, Clone)]
pub struct DeclaredError {
    /// The statuses that it is declared for.
    pub statuses: RangeInclusive<u16>,
    /// The response for a problem with this status.
    pub render: fn(u16, &Problem) -> Response,
}

/// The response for an error: that of the most specific declaration for its status, which are sorted. A declared 400 is
/// also for other errors of the client, and a declared 500 for those of the service. Without a declaration, it is a problem
/// document.
pub fn failed(error: impl Into<HttpError>, declared: &[DeclaredError]) -> Response {
    let mut response = error.into().into_response();
    let Some(problem) = response.extensions().get::<Arc<Problem>>().cloned() else { return response };
    let general = if problem.status < 500 { 400 } else { 500 };
    let found = [problem.status, general].into_iter().find_map(|status| {
        let found = declared.iter().find(|declared| declared.statuses.contains(&status))?;
        Some((status, found))
    });
    let Some((status, found)) = found else { return response };
    let (parts, body) = (found.render)(status, &problem).into_parts();
    response.extensions_mut().remove::<Arc<Problem>>();
    response.extensions_mut().extend(parts.extensions);
    *response.status_mut() = parts.status;
    response.headers_mut().remove(http::header::CONTENT_LENGTH);
    response.headers_mut().extend(parts.headers);
    *response.body_mut() = body;
    response
}

/// The description of an API, from a document that was checked when the code was generated. If it cannot be read, the error
/// is logged, and the description is empty.
pub fn document(text: &str) -> OpenApi {
    serde_json::from_str(text).unwrap_or_else(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "the description of the api cannot be read");
        OpenApi::default()
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt as _;
    use serde::Deserialize;
    use serde_json::{Value, json as value};

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Order {
        name: String,
    }

    async fn input(uri: &str, headers: &[(&str, &str)], body: &str) -> Input {
        let request =
            headers.iter().fold(Request::builder().uri(uri), |request, (name, value)| request.header(*name, *value));
        Input::new(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn parameters_of_the_query() {
        let input = input("/?a=5&b=x%20y&c=1&c=2&d=&e=true&f=1e999", &[], "").await;
        assert_eq!(input.query("a", integer::<i32>).unwrap(), Some(5));
        assert_eq!(input.query("b", text::<String>).unwrap().as_deref(), Some("x y"));
        assert_eq!(input.query_list("c", integer::<u8>).unwrap(), Some(vec![1, 2]));
        assert_eq!(input.query_list("z", integer::<u8>).unwrap(), None);
        assert_eq!(input.query("e", boolean).unwrap(), Some(true));
        assert_eq!(input.query("z", boolean).unwrap(), None);
        for error in [
            input.query("b", integer::<i32>).unwrap_err(),
            input.query("c", integer::<u8>).unwrap_err(),
            input.query("d", integer::<u8>).unwrap_err(),
            input.query("f", number).unwrap_err(),
            required("z", input.query("z", number).unwrap()).unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        }
    }

    #[tokio::test]
    async fn credentials() {
        let given = input("/", &[("authorization", "bearer  abc"), ("x-api-key", "def")], "").await;
        assert_eq!((given.bearer().unwrap(), given.api_key("x-api-key").unwrap()), ("abc", "def"));
        let none = input("/", &[("authorization", "Basic abc")], "").await;
        assert_eq!(none.bearer().unwrap_err().kind(), ErrorKind::Unauthenticated);
        assert_eq!(none.api_key("x-api-key").unwrap_err().kind(), ErrorKind::Unauthenticated);
    }

    #[tokio::test]
    async fn bodies() {
        let json = [("content-type", "application/json")];
        let order = Order { name: "a".to_owned() };
        assert_eq!(input("/", &json, r#"{"name":"a"}"#).await.json::<Order>().await.unwrap(), order);
        assert_eq!(input("/", &json, r#"{"name":"a"}"#).await.optional_json().await.unwrap(), Some(order));
        assert_eq!(input("/", &[], "").await.optional_json::<Order>().await.unwrap(), None);
        let error = input("/", &json, "").await.optional_json::<Order>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Malformed);
        let error = input("/", &[], "{}").await.json::<Order>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnsupportedMediaType);
    }

    const DECLARED: &[DeclaredError] = &[
        DeclaredError { statuses: 404..=404, render: |status, _| json(status, &"not found") },
        DeclaredError { statuses: 400..=499, render: |status, problem| json(status, &problem.detail) },
    ];

    async fn fail(error: HttpError, declared: &[DeclaredError]) -> (u16, String, Value) {
        let response = failed(error, declared);
        let content_type = response.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = response.status().as_u16();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, content_type, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn the_most_specific_declaration_applies() {
        let json = "application/json".to_owned();
        let found = fail(HttpError::new(ErrorKind::NotFound), DECLARED).await;
        assert_eq!(found, (404, json.clone(), value!("not found")));
        let found = fail(HttpError::invalid("a", "must be b"), DECLARED).await;
        assert_eq!(found, (422, json.clone(), value!("a: must be b")));
        let only_400 = [DeclaredError { statuses: 400..=400, render: DECLARED[1].render }];
        assert_eq!(fail(HttpError::invalid("a", "must be b"), &only_400).await, (400, json, value!("a: must be b")));
        let (status, content_type, _) = fail(HttpError::new(ErrorKind::Internal), DECLARED).await;
        assert_eq!((status, &*content_type), (500, crate::problem::CONTENT_TYPE_PROBLEM));
    }

    #[tokio::test]
    async fn headers_of_an_error_remain() {
        let error = HttpError::new(ErrorKind::RateLimited);
        assert_eq!(failed(error, DECLARED).headers()[http::header::RETRY_AFTER], "5");
    }
}
