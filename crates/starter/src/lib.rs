//! `kennel`: generates services on the platform from one file, `kennel.yaml`, and regenerates them without losing a byte
//! that their owners wrote.
//!
//! - [`spec`] is the table of what `kennel.yaml` may contain. [`yaml`] reads the file with positions, [`check`] compares
//!   it with the table and returns a [`config::Config`], or all problems at once. [`describe`] prints the table: JSON
//!   Schema, `kennel explain`, reference.
//! - [`generate`] renders a configuration to files, in memory. The templates are the files of `examples/notes`, and those
//!   in `templates/` for what notes does not have.
//! - [`update`] decides what to do with each file: the last generated version, the one of the user, and the new one are
//!   merged by [`merge`]. [`state`] stores the last generated version.
//! - [`import`] reads the configuration of go-project-starter. `wizard` asks for that of a new project, and `setup` for what
//!   its pipelines and servers need; both show what they would do first.
//! - [`transaction`] changes the project completely or not at all.

pub mod check;
pub mod cli;
pub mod config;
pub mod contract;
pub mod describe;
pub mod generate;
mod git;
pub mod import;
pub mod merge;
pub mod post_generate;
pub mod project;
mod prompt;
pub mod rustfmt;
mod setup;
pub mod spec;
pub mod state;
mod templates;
pub mod transaction;
pub mod update;
mod wizard;
mod words;
pub mod yaml;
