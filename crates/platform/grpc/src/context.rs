//! Task-local context of the current call.

use kennel_net::{RequestContext, RequestId};

tokio::task_local! {
    static CURRENT: CallContext;
}

/// The current call.
#[derive(Debug, Clone)]
pub(crate) struct CallContext {
    pub(crate) request: RequestContext,
    pub(crate) domain: &'static str,
}

/// Id of the current request. Returns `None` outside a call, and in tasks that a handler has spawned.
pub fn request_id() -> Option<RequestId> {
    RequestContext::current().map(|context| context.request_id().clone())
}

impl CallContext {
    pub(crate) fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    pub(crate) async fn scope<F: Future>(self, work: F) -> F::Output {
        let request = self.request.clone();
        CURRENT.scope(self, request.scope(work)).await
    }

    pub(crate) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), || self.request.enter(work))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use kennel_core::UuidV7;

    use super::*;

    #[tokio::test]
    async fn is_known_only_inside_a_call() {
        assert_eq!(request_id(), None);
        let id = RequestId::of(&HeaderMap::new(), &UuidV7);
        let call = CallContext { request: RequestContext::new(id.clone()), domain: "test" };
        assert_eq!(call.enter(request_id), Some(id.clone()));
        assert_eq!(call.scope(async { request_id() }).await, Some(id));
    }
}
