//! Looks names up and keeps the addresses that policy allows.
//!
//! The connection is made to the very addresses that were checked, so a name that answers differently the second time
//! gains nothing.

use std::net::SocketAddr;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::policy::{AddressPolicy, Refusal};

/// The system's resolver behind an [`AddressPolicy`].
#[derive(Debug, Clone)]
pub(super) struct Filtered {
    policy: AddressPolicy,
}

impl Filtered {
    pub(super) const fn new(policy: AddressPolicy) -> Self {
        Self { policy }
    }
}

impl Resolve for Filtered {
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
