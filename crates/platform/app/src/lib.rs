//! Component lifecycle, runner, signals and health registry.
//!
//! A process is a set of [`Component`]s. [`App`] starts them in the order of their [`Phase`]s and opens readiness last.
//! It stops them in the reverse order on a stop request, or when one of them ends by itself.

mod batches;
pub mod component;
pub mod component_filter;
pub mod config;
pub mod error;
pub mod health;
pub mod periodic;
pub mod progress;
mod readiness;
pub mod runner;
pub mod signals;
pub mod stop;
mod supervisor;

pub use batches::in_batches;
pub use component::{Component, Phase};
pub use component_filter::{ComponentFilter, UnknownComponent};
pub use config::ShutdownConfig;
pub use error::{Cause, RunError};
pub use health::{Check, Dependency, Health, Kind, Report, Status};
pub use periodic::Periodic;
pub use progress::Progress;
pub use readiness::Readiness;
pub use runner::App;
pub use signals::{Abort, signals};
pub use stop::Stop;
