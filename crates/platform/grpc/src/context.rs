//! Task-local context of the current call.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::IdSource;

/// Metadata key of the request id. The server uses the caller's id or generates one, and sends it back.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

const MAX_ID_BYTES: usize = 64;

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The current call.
#[derive(Debug, Clone)]
pub(crate) struct CallContext {
    pub(crate) request_id: Arc<str>,
    pub(crate) domain: &'static str,
}

/// Id of the current request. Returns `None` outside a call, and in tasks that a handler has spawned.
pub fn request_id() -> Option<Arc<str>> {
    CallContext::current().map(|call| call.request_id)
}

impl CallContext {
    /// Uses the caller's id if it is 1 to 64 letters, digits, `-`, `_` or `.`, otherwise generates one. Inserts the id
    /// into the headers.
    pub(crate) fn assign(headers: &mut HeaderMap, ids: &dyn IdSource, domain: &'static str) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let request_id = given.filter(|id| is_valid(id)).map_or_else(|| ids.next().to_string().into(), Arc::from);
        let call = Self { request_id, domain };
        call.insert_request_id(headers);
        call
    }

    /// Inserts the request id into `headers`.
    pub(crate) fn insert_request_id(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::from_str(&self.request_id) {
            headers.insert(REQUEST_ID, id);
        }
    }

    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }
}

fn is_valid(id: &str) -> bool {
    (1..=MAX_ID_BYTES).contains(&id.len())
        && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use kennel_core::UuidV7;

    use super::*;

    fn assigned(given: Option<&[u8]>) -> (String, HeaderMap) {
        let mut headers = HeaderMap::new();
        if let Some(given) = given {
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(given).unwrap());
        }
        let call = CallContext::assign(&mut headers, &UuidV7, "test");
        (call.request_id.to_string(), headers)
    }

    #[test]
    fn uses_a_valid_id() {
        let (id, headers) = assigned(Some(b"abc-1"));
        assert_eq!(id, "abc-1");
        assert_eq!(headers[REQUEST_ID], "abc-1");
    }

    #[test]
    fn generates_an_id_without_a_valid_one() {
        let long = [b'a'; MAX_ID_BYTES + 1];
        for given in [None, Some(&b""[..]), Some(b"a b"), Some(b"<b>"), Some(b"a\xff"), Some(&long)] {
            let (id, headers) = assigned(given);
            assert_eq!(id.len(), 36, "{given:?}");
            assert_eq!(headers[REQUEST_ID], id.as_str());
        }
    }

    #[tokio::test]
    async fn is_known_only_inside_a_call() {
        assert_eq!(request_id(), None);
        let call = CallContext { request_id: "7".into(), domain: "test" };
        assert_eq!(call.enter(request_id).as_deref(), Some("7"));
        assert_eq!(call.scope(async { request_id() }).await.as_deref(), Some("7"));
    }
}
