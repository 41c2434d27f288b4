//! Component lifecycle, runner, signals and health registry.
//!
//! A process is a set of [`Component`]s. They are brought up in the order of their [`Phase`]s, readiness opens
//! last, and they are taken down in the reverse order when the process is told to stop or one of them ends unasked.

pub mod component;
pub mod health;
mod readiness;
pub mod stop;

pub use component::{Component, Phase};
pub use health::{Check, Health, Report, Status};
pub use readiness::Readiness;
pub use stop::Stop;
