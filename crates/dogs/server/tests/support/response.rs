//! An HTTP response with its complete body.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// A response of the service.
#[derive(Debug, Clone)]
pub struct TestResponse {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

impl TestResponse {
    /// Sends the request and reads the response.
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Self { status, headers, body: response.bytes().await.unwrap() }
    }

    /// Asserts the status. The body of an error must be a problem of that status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        if status >= 400 {
            assert_eq!(self.header("content-type"), "application/problem+json");
            assert_eq!(self.json()["status"], status);
            assert_eq!(self.json()["request_id"], self.header("x-request-id"));
        }
        self
    }

    /// Asserts that the field is reported as invalid.
    #[track_caller]
    pub fn expect_invalid(self, field: &str) -> Self {
        let response = self.expect(422);
        assert_eq!(response.json()["errors"][0]["field"], field, "{}", response.json());
        response
    }

    /// The value of a header; empty if it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The target of the link with this relation.
    pub fn link(&self, rel: &str) -> Option<String> {
        let ending = format!(">; rel=\"{rel}\"");
        let found = self.header("link").split(", ").find_map(|link| link.strip_suffix(&ending)?.strip_prefix('<'));
        found.map(str::to_owned)
    }
}
