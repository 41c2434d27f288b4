//! Where live settings are.

use std::path::PathBuf;

use kennel_config::{Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The source of live settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LiveBackend {
    /// There is none: the defaults apply.
    #[default]
    None,
    /// A TOML file.
    File,
    /// A key-value bucket of NATS.
    Nats,
}

/// Settings that change while the process runs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LiveConfig {
    /// Where the settings are that change without a restart: `none`, `file` or `nats`.
    pub live_settings: LiveBackend,
    /// The TOML file of `file`. It may be created later.
    pub live_file: Option<PathBuf>,
    /// The servers of `nats`, such as `nats://user:password@host:4222`.
    pub live_nats_url: Option<Secret>,
    /// The password of the URL, if it is not in it.
    pub live_nats_password: Option<Secret>,
    /// The key-value bucket of `nats`.
    pub live_nats_bucket: String,
}

impl Default for LiveConfig {
    fn default() -> Self {
        let live_nats_bucket = "live_settings".to_owned();
        Self {
            live_settings: LiveBackend::None,
            live_file: None,
            live_nats_url: None,
            live_nats_password: None,
            live_nats_bucket,
        }
    }
}

impl Section for LiveConfig {
    const TITLE: &'static str = "Live settings";

    fn check(&self, problems: &mut Problems) {
        match self.live_settings {
            LiveBackend::File if self.live_file.is_none() => {
                problems.add("live_file", "must be set when LIVE_SETTINGS is file");
            }
            LiveBackend::None | LiveBackend::File => {}
            LiveBackend::Nats if !cfg!(feature = "nats") => {
                problems.add("live_settings", "this build has no `nats`; build with the feature `nats`");
            }
            LiveBackend::Nats => {
                #[cfg(feature = "nats")]
                crate::nats::servers(self, problems);
                let is_valid = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
                if self.live_nats_bucket.is_empty() || !self.live_nats_bucket.bytes().all(is_valid) {
                    problems.add("live_nats_bucket", "must be letters, digits, `-` and `_`");
                }
            }
        }
    }
}
