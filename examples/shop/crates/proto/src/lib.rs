//! The gRPC API of shop, compiled from `proto/` by `build.rs`.

/// Encoded descriptors of all APIs and of their imports, for reflection and health checks.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

/// Version 1.
pub mod v1 {
    tonic::include_proto!("shop.v1");

    /// Encoded descriptors of the API and of its imports, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
}

/// The package `billing`.
pub mod billing {
    /// The package `billing.v1`.
    pub mod v1 {
        tonic::include_proto!("billing.v1");
    }
}

/// The package `catalog`.
pub mod catalog {
    /// The package `catalog.v1`.
    pub mod v1 {
        tonic::include_proto!("catalog.v1");
    }
}
