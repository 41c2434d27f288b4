//! Consumers and background work, which the applications run.

//% for module in modules
pub mod «module»;
//% endfor
