//! Connections to something else, which start before servers and workers, and stop after them.

//% for driver in drivers
pub mod «driver»;
//% endfor
