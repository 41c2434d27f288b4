//! Background work: thumbnails, cache invalidation and the removal of expired rows.

mod expiry;
mod invalidator;
mod thumbnailer;

pub use expiry::ExpiryWorker;
pub use invalidator::Invalidator;
pub use thumbnailer::Thumbnailer;
