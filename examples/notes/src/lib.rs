//! Notes: the smallest useful service on the platform, and the one to copy.

pub mod domain;
pub mod repository;

/// The name of the service.
pub const NAME: &str = "notes";
