//! Resolves names and returns only the addresses that the policy allows.
//!
//! The client connects to the addresses that were checked, so DNS rebinding (a different answer to a second lookup) has
//! no effect.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::policy::{AddressPolicy, Refusal};

/// The system's resolver, filtered by an [`AddressPolicy`].
#[derive(Debug, Clone)]
pub(crate) struct FilteredResolver {
    policy: AddressPolicy,
}

impl FilteredResolver {
    pub(crate) const fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }
}

impl Resolve for FilteredResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.policy.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let (allowed, refused): (Vec<SocketAddr>, Vec<_>) =
                found.partition(|address| policy.check_address(address.ip()).is_ok());
            if allowed.is_empty() && !refused.is_empty() {
                return Err(Refusal::Private.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}
