//! The scheduled job `«name»`.

use std::time::Duration;

use kennel_app::{Component, Periodic};
use kennel_core::PageSize;
use «ident»_domain::NoteService;

const INTERVAL: Duration = Duration::from_«unit»(«number»);

/// The component that runs the job at start and then at every interval. Every replica runs it, so it must allow for others
/// that run at the same time; an interrupted job must need no cleanup.
pub fn «module»(notes: NoteService) -> impl Component {
    Periodic::new("«name»", INTERVAL, move || {
        let notes = notes.clone();
        async move {
            let newest = notes.list(None, PageSize::default()).await?;
            tracing::info!(count = newest.items.len(), "newest notes");
            Ok(())
        }
    })
}
