//! The gRPC API of «project», compiled from `proto/` by `build.rs`.

//% if packages
/// Encoded descriptors of all APIs and of their imports, for reflection and health checks.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));

//% endif
//% if grpc
/// Version 1.
pub mod v1 {
    tonic::include_proto!("«ident».v1");

    /// Encoded descriptors of the API and of its imports, for reflection.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.binpb"));
}
//% endif
//% if packages

«packages»
//% endif
