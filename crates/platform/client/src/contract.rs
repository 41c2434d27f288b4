//! A client of an API whose contract is a document: generated code has a method for each operation, and this is what they
//! share.

use std::fmt::Display;
use std::ops::RangeInclusive;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, InvalidHeaderValue};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use kennel_config::{Problems, Secret, Section};
use kennel_core::{ErrorKind, Failure};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{Client, ClientConfig, ClientError};

/// An HTTP API that the service calls. A service reads one with the name of the API as prefix: `PAYMENTS_API_URL`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ApiConfig {
    /// URL of the server, such as `https://api.example.com`, without the path that the contract of the API has.
    pub api_url: String,
    /// The key or token that is sent with every request, if the API needs one.
    pub api_credential: Option<Secret>,
    /// Whether the server may have an address of a private network, or of this machine.
    pub api_private: bool,
}

impl ApiConfig {
    /// The settings of the client.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            allow_private: self.api_private,
            secrets: self.api_credential.iter().cloned().collect(),
            ..ClientConfig::default()
        }
    }
}

impl Section for ApiConfig {
    const TITLE: &'static str = "HTTP API";

    fn check(&self, problems: &mut Problems) {
        let is_valid = |url: &Url| matches!(url.scheme(), "http" | "https") && url.query().is_none();
        if !Url::parse(&self.api_url).is_ok_and(|url| is_valid(&url)) {
            problems.add("api_url", "must be a URL such as https://api.example.com");
        }
    }
}

/// The client cannot be created.
#[derive(Debug, thiserror::Error)]
pub enum InvalidApi {
    /// The URL is invalid.
    #[error("the url is invalid")]
    Url(#[from] url::ParseError),
    /// The credential cannot be in a header.
    #[error("the credential must be visible ASCII characters")]
    Credential(#[from] InvalidHeaderValue),
    /// There is no credential, but the API needs one.
    #[error("the credential is missing")]
    NoCredential,
}

/// How the credential is sent.
#[derive(Debug, Clone)]
pub enum Authentication {
    /// It is not.
    None,
    /// As bearer token.
    Bearer,
    /// In this header.
    Header(HeaderName),
}

/// Calls the operations of an API. Clones share connections.
#[derive(Debug, Clone)]
pub struct ApiClient {
    client: Client,
    base: Url,
    headers: HeaderMap,
}

impl ApiClient {
    /// A client of the API at the URL of `config`, which sends its credential in the way of `authentication`.
    pub fn new(client: Client, config: &ApiConfig, authentication: Authentication) -> Result<Self, InvalidApi> {
        let mut headers = HeaderMap::new();
        let credential = || config.api_credential.as_ref().map(Secret::expose).ok_or(InvalidApi::NoCredential);
        let header = match authentication {
            Authentication::None => None,
            Authentication::Bearer => Some((AUTHORIZATION, format!("Bearer {}", credential()?))),
            Authentication::Header(name) => Some((name, credential()?.to_owned())),
        };
        if let Some((name, value)) = header {
            let mut value = HeaderValue::from_str(&value)?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { client, base: config.api_url.parse()?, headers })
    }

    /// Starts a call. The segments of the path are encoded.
    pub fn call(&self, method: Method, path: &[&str]) -> Result<Call<'_>, Failure> {
        let mut url = self.base.clone();
        let invalid = |segment: &&&str| matches!(**segment, "" | "." | "..");
        if let Some(segment) = path.iter().find(invalid) {
            return Err(Failure::new(ErrorKind::Invalid, format!("{segment:?} cannot be in the path of a request")));
        }
        match url.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().extend(path);
            }
            Err(()) => return Err(Failure::new(ErrorKind::Internal, "the url of the api has no path")),
        }
        Ok(Call { api: self, method, url, headers: self.headers.clone(), body: Bytes::new() })
    }
}

/// A call of an operation.
#[must_use]
#[derive(Debug)]
pub struct Call<'a> {
    api: &'a ApiClient,
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Call<'_> {
    /// Adds a parameter of the query.
    pub fn query(&mut self, name: &str, value: impl Display) {
        self.url.query_pairs_mut().append_pair(name, &value.to_string());
    }

    /// Sets a header.
    pub fn header(&mut self, name: &'static str, value: impl Display) -> Result<(), Failure> {
        let value = HeaderValue::from_str(&value.to_string());
        let value = value.map_err(|error| Failure::new(ErrorKind::Invalid, format!("{name}: {error}")))?;
        self.headers.insert(HeaderName::from_static(name), value);
        Ok(())
    }

    /// Sets the body.
    pub fn json(&mut self, body: &impl Serialize) -> Result<(), Failure> {
        let bytes = serde_json::to_vec(body).map_err(|error| Failure::new(ErrorKind::Internal, error))?;
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.body = bytes.into();
        Ok(())
    }

    /// Sends the request. Statuses that are not declared are failures.
    pub async fn send(self, declared: &[RangeInclusive<u16>]) -> Result<Answer, Failure> {
        let mut request = self.api.client.request(self.method, &self.url).headers(self.headers).body(self.body);
        let statuses = declared.iter().cloned().flatten().filter_map(|status| StatusCode::from_u16(status).ok());
        for status in statuses {
            request = request.accept(status);
        }
        let response = request.fetch().await.map_err(failure)?;
        Ok(Answer { status: response.status().as_u16(), body: response.into_body() })
    }
}

fn failure(error: ClientError) -> Failure {
    Failure::new(error.kind(), error)
}

/// The response of an operation.
#[derive(Debug)]
pub struct Answer {
    status: u16,
    body: Bytes,
}

impl Answer {
    /// The status.
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| failure(ClientError::Malformed(error.into())))
    }

    /// The failure of a status that the contract does not declare.
    pub fn undeclared(&self) -> Failure {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        failure(ClientError::Status { status, retry_after: None })
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::ErrorKind;
    use prometheus::Registry;

    use super::*;
    use crate::ClientMetrics;

    fn api(url: &str, authentication: Authentication) -> Result<ApiClient, InvalidApi> {
        let config = ApiConfig { api_url: url.to_owned(), api_credential: Some("hunter2".into()), api_private: true };
        let metrics = ClientMetrics::register(&Registry::new()).unwrap();
        let client = Client::new("api", &config.client(), &metrics).unwrap();
        ApiClient::new(client, &config, authentication)
    }

    #[test]
    fn segments_of_the_path_are_encoded_and_stay_segments() {
        let api = api("https://example.com/base/", Authentication::None).unwrap();
        let mut call = api.call(Method::GET, &["v1", "orders", "a/b c?d"]).unwrap();
        call.query("e f", "&");
        assert_eq!(call.url.as_str(), "https://example.com/base/v1/orders/a%2Fb%20c%3Fd?e+f=%26");
        for segment in ["", ".", ".."] {
            let failure = api.call(Method::GET, &["orders", segment]).unwrap_err();
            assert_eq!(failure.kind(), ErrorKind::Invalid, "{segment}");
        }
    }

    #[test]
    fn the_credential_is_in_its_header_and_in_no_text() {
        let name = HeaderName::from_static("x-api-key");
        for (authentication, header, expected) in [
            (Authentication::Bearer, AUTHORIZATION, "Bearer hunter2"),
            (Authentication::Header(name.clone()), name, "hunter2"),
        ] {
            let api = api("https://example.com", authentication).unwrap();
            assert_eq!(api.headers[header], expected);
            assert!(!format!("{api:?}").contains("hunter2"), "{api:?}");
        }
    }

    #[test]
    fn the_url_is_checked() {
        let section = |url: &str| ApiConfig { api_url: url.to_owned(), ..ApiConfig::default() }.validate();
        assert!(section("https://example.com/base").is_ok());
        for invalid in ["", "example.com", "ftp://example.com", "https://example.com?a=b"] {
            assert!(section(invalid).is_err(), "{invalid}");
        }
    }
}
