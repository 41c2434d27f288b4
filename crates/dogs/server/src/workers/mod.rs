//! Background work: thumbnails, cache invalidation and the removal of expired rows.

mod expiry;
mod stale_dogs;
mod thumbnailer;

pub use expiry::expiry_worker;
pub use stale_dogs::StaleDogs;
pub use thumbnailer::Thumbnailer;
