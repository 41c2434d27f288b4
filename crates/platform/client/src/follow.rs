//! Sends a request and follows redirects. Each address is checked, and secrets in headers do not leave their origin.

use http::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, LOCATION, PROXY_AUTHORIZATION,
};
use http::{HeaderMap, Method, StatusCode};
use kennel_telemetry::propagation;
use url::Url;

use crate::ClientInner;
use crate::error::ClientError;
use crate::policy::Refusal;
use crate::request_body::RequestBody;

/// What is sent to one address.
#[derive(Clone)]
pub(crate) struct Hop {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: RequestBody,
}

impl Hop {
    /// Sends the request. Returns the first response that is no redirect or whose status is `accepted`.
    pub(crate) async fn send(
        mut self,
        client: &ClientInner,
        accepted: impl Fn(StatusCode) -> bool,
    ) -> Result<reqwest::Response, ClientError> {
        if client.config.propagate_trace {
            propagation::inject(&mut self.headers);
        }
        for _ in 0..=client.config.max_redirects {
            client.policy.check(&self.url)?;
            let request = client.http.request(self.method.clone(), self.url.clone()).headers(self.headers.clone());
            let response = request.body(self.body.clone()).send().await?;
            let target = if accepted(response.status()) { None } else { target(&response) };
            let Some(target) = target else { return Ok(response) };
            if !self.redirect(response.status(), target) {
                return Ok(response);
            }
        }
        Err(Refusal::Redirects.into())
    }

    /// Changes the request to that of the redirect (RFC 9110, section 15.4). Returns false if it cannot be sent again.
    fn redirect(&mut self, status: StatusCode, target: Url) -> bool {
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            // What every client does, although the specification would prefer the same method.
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            self.method = Method::GET;
            self.body = RequestBody::Bytes(bytes::Bytes::new());
            for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING] {
                self.headers.remove(name);
            }
        } else if !self.body.is_complete() {
            return false;
        }
        if target.origin() != self.url.origin() {
            self.remove_secrets();
        }
        self.url = target;
        true
    }

    fn remove_secrets(&mut self) {
        let sensitive = self.headers.iter().filter(|(_, value)| value.is_sensitive());
        let names: Vec<_> = sensitive.map(|(name, _)| name.clone()).collect();
        for name in names.into_iter().chain([AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION]) {
            self.headers.remove(name);
        }
    }
}

/// Where a response redirects to.
fn target(response: &reqwest::Response) -> Option<Url> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    response.url().join(response.headers().get(LOCATION)?.to_str().ok()?).ok()
}
