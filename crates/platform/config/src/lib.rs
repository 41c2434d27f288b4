//! Layered configuration that reports all problems together.
//!
//! Built-in defaults < the TOML file that `CONFIG_FILE` names < `.env` < the environment. Settings are flat: the
//! variable `SERVER_PORT` is the key `server_port` of the file. A [`Section`] is a plain struct of the crate that it
//! configures, a service's [`Settings`] are several sections. The loader takes keys, types and documentation from their
//! JSON Schemas, so that the documented settings are exactly those that are read. A [`Loader`] reads the settings of
//! several services in one process.
//!
//! A check adds its errors to [`Problems`], by key. It never returns text for others to parse.

mod check;
mod dotenv;
mod duration;
mod environment;
mod field;
mod file;
mod layer;
mod loader;
mod password;
mod print;
mod problem;
mod raw;
mod reader;
mod reference;
mod secret;
mod section;
mod size;
mod value;

pub use duration::{HumanDuration, InvalidDuration};
pub use environment::Environment;
pub use loader::{Loaded, Loader, Settings, load};
pub use problem::{ConfigErrors, Problem, Problems};
pub use reader::Reader;
pub use reference::reference;
pub use secret::Secret;
pub use section::Section;
pub use size::ByteSize;

/// Exit code for wrong arguments or configuration, as in `sysexits.h`.
pub const EX_USAGE: u8 = 64;
