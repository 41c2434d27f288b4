//! Work that nobody waits for: small copies of pictures, and forgetting what is stale or old.

mod housekeeper;
mod invalidator;
mod thumbnailer;

pub use housekeeper::Housekeeper;
pub use invalidator::Invalidator;
pub use thumbnailer::Thumbnailer;
