//! Cases for the broker ports.
