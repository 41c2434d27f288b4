//! Layered configuration that reports every problem at once.
//!
//! Built-in defaults < the TOML file that `CONFIG_FILE` names < `.env` < the environment. Settings are flat: the
//! variable `SERVER_PORT` is the key `server_port` of the file. A [`Section`] is a plain struct, a service's
//! [`Settings`] are some sections; their JSON Schemas tell the loader the keys, their types and their documentation,
//! so that a setting that is documented is one that is read.

mod dotenv;
mod duration;
mod environment;
mod field;
mod file;
mod layer;
mod loader;
mod login;
mod print;
mod problem;
mod reference;
mod secret;
mod size;
mod value;

pub use duration::HumanDuration;
pub use environment::Environment;
pub use loader::{Loaded, Reader, Section, Settings, load};
pub use problem::{ConfigErrors, Problem, Problems};
pub use reference::reference;
pub use secret::Secret;
pub use size::ByteSize;

/// The exit code of a process that was called or configured wrongly, as in `sysexits.h`.
pub const EX_USAGE: u8 = 64;
