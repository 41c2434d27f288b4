//! The contexts of the GIF pipeline, one module each: models, ports and use cases, without I/O.
//!
//! Each context has its own language; they share only the events of `gifs_contracts`.

pub mod catalogue;
pub mod media;
