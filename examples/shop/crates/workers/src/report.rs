//! The scheduled job `report`.

use std::time::Duration;

use kennel_app::{Component, Periodic};
use kennel_core::PageSize;
use shop_domain::ItemService;

const INTERVAL: Duration = Duration::from_hours(1);

/// The component that runs the job at start and then at every interval. Every replica runs it, so it must allow for others
/// that run at the same time; an interrupted job must need no cleanup.
pub fn report(items: ItemService) -> impl Component {
    Periodic::new("report", INTERVAL, move || {
        let items = items.clone();
        async move {
            let newest = items.list(None, PageSize::default()).await?;
            tracing::info!(count = newest.items.len(), "newest items");
            Ok(())
        }
    })
}
