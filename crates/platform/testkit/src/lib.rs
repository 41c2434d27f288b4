//! Real-service discovery, isolated databases, conformance suites and fault injection.

pub mod conformance;
