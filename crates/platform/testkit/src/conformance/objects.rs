//! Cases for the object store port.
