//! Protocol buffers and the code generated from them.
//!
//! The sources are in `proto/` at the root of the repository. The generated code is committed under `src/gen/`, so that
//! a build needs no generator. A test fails if it is stale; `UPDATE=1 cargo test -p kennel-proto` regenerates it.

pub mod convert;

/// Dogs.
pub mod dogs {
    /// Version 1 of the API.
    pub mod v1 {
        include!("gen/dogs.v1.rs");

        /// Encoded descriptors of `dogs.v1` and of its imports, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/dogs.v1.binpb");
    }
}

/// The GIF pipeline: the services `Catalogue` and `Media`.
pub mod gifs {
    /// Version 1 of the API.
    pub mod v1 {
        include!("gen/gifs.v1.rs");

        /// Encoded descriptors of `gifs.v1` and of its imports, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/gifs.v1.binpb");
    }
}

/// The market analytics: trades, candles, and the service of the stored candles.
pub mod market {
    /// Version 1 of the messages and of the API.
    pub mod v1 {
        include!("gen/market.v1.rs");

        /// Encoded descriptors of `market.v1` and of its imports, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/market.v1.binpb");
    }

    /// Version 2 of the messages of trades: those of version 1 with further fields.
    pub mod v2 {
        include!("gen/market.v2.rs");

        /// Encoded descriptors of `market.v2`.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/market.v2.binpb");
    }
}

/// Notes.
pub mod notes {
    /// Version 1 of the API.
    pub mod v1 {
        include!("gen/notes.v1.rs");

        /// Encoded descriptors of `notes.v1` and of its imports, for reflection.
        pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("gen/notes.v1.binpb");
    }
}
