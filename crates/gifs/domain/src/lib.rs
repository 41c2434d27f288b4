//! The contexts of the GIF pipeline, one module each: models, ports and use cases, without I/O.
//!
//! Each context has its own language; they share only the events of `gifs_contracts`, and Requests the ratings and languages of
//! the Catalogue, which answers them.

pub mod catalogue;
pub mod media;
pub mod requests;
