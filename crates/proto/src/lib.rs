//! Protocol buffers and the code generated from them.
//!
//! The sources are `proto/` at the root of the repository. What is generated from them is committed under `src/gen/`,
//! so that a build needs no generator; a test fails when it is stale and `UPDATE=1 cargo test -p kennel-proto`
//! writes it anew.

pub mod convert;

/// Dogs.
pub mod dogs {
    /// Version 1 of the API.
    pub mod v1 {
        include!("gen/dogs.v1.rs");

        /// Descriptors of `dogs.v1` and of what it imports, encoded, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/dogs.v1.binpb");
    }
}
