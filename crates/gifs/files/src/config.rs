//! Settings of downloads.

use std::path::PathBuf;
use std::time::Duration;

use kennel_client::ClientConfig;
use kennel_config::{ByteSize, HumanDuration, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Downloads of GIFs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MediaConfig {
    /// The maximum size of a GIF.
    pub gif_limit: ByteSize,
    /// The total memory for decoding GIFs. A GIF that alone needs more is refused: it needs 12 bytes per pixel of its screen,
    /// and 8 MiB.
    pub gif_memory_limit: ByteSize,
    /// How many GIFs are downloaded and stored at once.
    pub gif_downloads: usize,
    /// How long a download may take, retries included.
    pub gif_download_timeout: HumanDuration,
    /// The folder of files that are being downloaded; that of the system if unset. They have no names, and do not stay after a
    /// crash.
    pub gif_download_path: Option<PathBuf>,
    /// Allow downloads from private and loopback addresses.
    pub gif_download_allow_private: bool,
}

impl Default for MediaConfig {
    fn default() -> Self {
        Self {
            gif_limit: ByteSize::mib(16),
            gif_memory_limit: ByteSize::mib(64),
            gif_downloads: 16,
            gif_download_timeout: HumanDuration::from_secs(20),
            gif_download_path: None,
            gif_download_allow_private: false,
        }
    }
}

impl MediaConfig {
    /// A handler has 30 seconds, and the object store needs some of them.
    const MAX_TIMEOUT: HumanDuration = HumanDuration::from_secs(25);

    /// The client of downloads.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            deadline: self.gif_download_timeout.get(),
            timeout: self.gif_download_timeout.get(),
            backoff: Duration::from_millis(200),
            max_bytes: self.gif_limit.0,
            // The files are on the servers of several providers.
            breaker_failures: 0,
            allow_private: self.gif_download_allow_private,
            propagate_trace: false,
            ..ClientConfig::default()
        }
    }
}

impl Section for MediaConfig {
    const TITLE: &'static str = "Downloads of GIFs";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("gif_limit", self.gif_limit, ByteSize(1)..=ByteSize::mib(256));
        problems.check_range("gif_memory_limit", self.gif_memory_limit, ByteSize::mib(16)..=ByteSize::gib(4));
        problems.check_range("gif_downloads", self.gif_downloads, 1..=256);
        problems.check_range(
            "gif_download_timeout",
            self.gif_download_timeout,
            HumanDuration::from_millis(1)..=Self::MAX_TIMEOUT,
        );
    }
}
