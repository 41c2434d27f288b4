//! Settings of images.

use kennel_config::{ByteSize, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of images.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ImageConfig {
    /// The maximum size of an image, from users and from other services.
    pub image_limit: ByteSize,
    /// The total memory for decoding images. An image that alone needs more is rejected: a JPEG needs 3 bytes per pixel, 11
    /// if it is progressive, a PNG 3 or 4, a GIF 8, a WebP 5 to 12.
    pub image_memory_limit: ByteSize,
}

impl Default for ImageConfig {
    fn default() -> Self {
        // The memory is that of 21 megapixels of a common JPEG, within a container of 128 MiB.
        Self { image_limit: ByteSize::mib(10), image_memory_limit: ByteSize::mib(64) }
    }
}

impl Section for ImageConfig {
    const TITLE: &'static str = "Images";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("image_limit", self.image_limit, ByteSize(1)..=ByteSize::mib(256));
        problems.check_range("image_memory_limit", self.image_memory_limit, ByteSize::mib(8)..=ByteSize::gib(1));
    }
}
