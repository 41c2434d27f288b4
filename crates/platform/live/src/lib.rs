//! Settings that change while the process runs.
//!
//! A key is a path such as `shop/transport/rest/web/timeout`: the service, what it configures, its kind, its name and the
//! setting. A [`LiveSource`] has the values: a [`FileSource`], or a `NatsSource`. A [`LiveWatch`] follows it, and
//! [`LiveSettings`] hands out single values as [`LiveValue`]s.
//!
//! A value that is missing is the default of the code. One that is not valid, and a source that cannot be read, change
//! nothing: the last valid value applies, and a warning says why.

mod config;
mod file;
#[cfg(feature = "nats")]
mod nats;
mod settings;
mod source;
mod watch;

pub use config::{LiveBackend, LiveConfig};
pub use file::FileSource;
#[cfg(feature = "nats")]
pub use nats::NatsSource;
pub use settings::{LiveSettings, LiveValue};
pub use source::{LiveError, LiveSource, Values};
pub use watch::LiveWatch;

/// The source of a configuration; `None` without one.
pub fn source(config: &LiveConfig) -> Result<Option<Box<dyn LiveSource>>, LiveError> {
    Ok(match config.live_settings {
        LiveBackend::None => None,
        LiveBackend::File => Some(Box::new(FileSource::new(config.live_file.clone().unwrap_or_default()))),
        #[cfg(feature = "nats")]
        LiveBackend::Nats => Some(Box::new(NatsSource::new(config)?)),
        #[cfg(not(feature = "nats"))]
        LiveBackend::Nats => return Err(LiveError::Invalid("the feature `nats` is not compiled in".into())),
    })
}
