//! The settings that only this application has.

use kennel_client::ApiConfig;
use kennel_config::{Reader, Settings};

/// The servers that it calls.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The server of `payments`.
    pub payments: ApiConfig,
}

impl Settings for AppSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { payments: reader.named_section("payments") }
    }
}
