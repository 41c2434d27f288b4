//! The clients of other services: each implements the trait of its document over HTTP.

//% for client in clients
pub mod «client»;
//% endfor
