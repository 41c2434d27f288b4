//! The settings that only this application has.

use kennel_config::{Reader, Settings};
use kennel_grpc::GrpcClientConfig;

/// The servers that it calls.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The server of `catalog`.
    pub catalog: GrpcClientConfig,
}

impl Settings for AppSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { catalog: reader.named_section("catalog") }
    }
}
