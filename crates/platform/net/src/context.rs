//! The request that the current task serves, whatever its protocol.

use std::sync::{Arc, OnceLock};

use kennel_core::Principal;
use tokio::time::Instant;

use crate::{Authenticated, RequestId};

tokio::task_local! {
    static CURRENT: RequestContext;
}

/// What code that handles a request can know about it without being passed it: its id, when it has to be complete, and who
/// sent it. Servers set it; calls to other services forward the id and the deadline. Clones share one context.
///
/// There is none outside a request, and in tasks that a handler has spawned.
#[derive(Clone)]
pub struct RequestContext(Arc<ContextState>);

struct ContextState {
    request_id: RequestId,
    deadline: OnceLock<Box<dyn Fn() -> Instant + Send + Sync>>,
    principal: OnceLock<Principal>,
    expires: OnceLock<Instant>,
}

impl RequestContext {
    /// A context without a deadline and a principal.
    pub fn new(request_id: RequestId) -> Self {
        let (deadline, principal, expires) = (OnceLock::new(), OnceLock::new(), OnceLock::new());
        Self(Arc::new(ContextState { request_id, deadline, principal, expires }))
    }

    /// The context of the current task.
    pub fn current() -> Option<Self> {
        CURRENT.try_with(Clone::clone).ok()
    }

    /// The id of the request.
    pub fn request_id(&self) -> &RequestId {
        &self.0.request_id
    }

    /// When the server will abort the request; `None` if it has no limit, such as a stream.
    pub fn deadline(&self) -> Option<Instant> {
        self.0.deadline.get().map(|deadline| deadline())
    }

    /// Sets the deadline, which is asked again for each use: a slow upload extends it. Only the first call has an effect.
    pub fn set_deadline(&self, deadline: impl Fn() -> Instant + Send + Sync + 'static) {
        self.0.deadline.get_or_init(|| Box::new(deadline));
    }

    /// Who sent the request; `None` if no layer has authenticated it.
    pub fn principal(&self) -> Option<&Principal> {
        self.0.principal.get()
    }

    /// Sets who sent the request, for the layer that authenticates it. Only the first call has an effect.
    pub fn set_principal(&self, principal: Principal) {
        self.0.principal.get_or_init(|| principal);
    }

    /// When the credentials of the caller expire; `None` if they do not. A stream must end then.
    pub fn expires(&self) -> Option<Instant> {
        self.0.expires.get().copied()
    }

    /// Sets who sent the request and when its credentials expire, for the layer that authenticates it. Only the first call has
    /// an effect.
    pub fn set_caller(&self, Authenticated { principal, expires }: Authenticated) {
        self.set_principal(principal);
        if let Some(expires) = expires {
            self.0.expires.get_or_init(|| expires);
        }
    }

    /// Runs `work` in this context.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        CURRENT.scope(self, work).await
    }

    /// Runs `work` in this context.
    pub fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        CURRENT.sync_scope(self.clone(), work)
    }
}

impl std::fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut context = f.debug_struct("RequestContext");
        context.field("request_id", self.request_id()).field("deadline", &self.deadline());
        context.field("principal", &self.principal()).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;
    use kennel_core::UuidV7;

    use super::*;

    fn context() -> RequestContext {
        RequestContext::new(RequestId::of(&HeaderMap::new(), &UuidV7))
    }

    #[tokio::test]
    async fn is_known_only_inside_a_request() {
        let known = || RequestContext::current().map(|context| context.request_id().clone());
        let context = context();
        let id = Some(context.request_id().clone());
        assert_eq!(known(), None);
        assert_eq!(context.enter(known), id);
        assert_eq!(context.scope(async { known() }).await, id);
        assert_eq!(known(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_layer_sets_is_known_to_all_and_is_set_once() {
        let context = context();
        assert_eq!((context.deadline(), context.principal()), (None, None));
        let start = Instant::now();
        let other = context.clone();
        context.set_deadline(move || start + Duration::from_secs(1));
        context.set_principal(Principal::new("user-1", ["notes:read"]));
        other.set_deadline(Instant::now);
        other.set_principal(Principal::new("user-2", ["notes:write"]));
        assert_eq!(other.deadline(), Some(start + Duration::from_secs(1)));
        assert_eq!(other.principal().map(Principal::subject), Some("user-1"));
    }
}
