//! Component lifecycle, runner, signals and health registry.
//!
//! A process is a set of [`Component`]s. [`App`] brings them up in the order of their [`Phase`]s, opens readiness
//! last, and takes them down in the reverse order when it is told to stop or one of them ends unasked.

mod batches;
pub mod component;
pub mod error;
mod fleet;
pub mod health;
pub mod progress;
mod readiness;
pub mod runner;
pub mod signals;
pub mod stop;
pub mod subset;

pub use batches::in_batches;
pub use component::{Component, Phase};
pub use error::{Cause, RunError};
pub use health::{Check, Health, Kind, Report, Status};
pub use progress::Progress;
pub use readiness::Readiness;
pub use runner::{App, Options};
pub use signals::{Abort, signals};
pub use stop::Stop;
pub use subset::{Only, UnknownComponent};
