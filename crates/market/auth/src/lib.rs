//! Who may use the market analytics: users and service accounts with roles, sessions whose refresh tokens rotate, and access
//! tokens that every service verifies by itself with `kennel-auth`.
//!
//! [`store`] is the port of the store, [`sessions`] the operations of clients, [`accounts`] those of operators.

pub mod accounts;
mod api;
mod cli;
pub mod config;
mod http;
pub mod metrics;
pub mod passwords;
pub mod refresh;
pub mod repository;
pub mod sealing;
mod service;
pub mod sessions;
pub mod signing;
pub mod store;
pub mod throttle;
pub mod words;

pub use service::Auth;

kennel_service::contract_test!(crate::Auth, "../../..");
