//! Connections to something else, which start before servers and workers, and stop after them.

pub mod search;
