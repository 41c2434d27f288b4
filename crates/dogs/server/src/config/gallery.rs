//! Settings of the gallery.

use kennel_config::{Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Links of the gallery.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GalleryConfig {
    /// The URL of the metrics, for the link in the gallery. Unset: `http://localhost:<PROMETHEUS_PORT>/metrics` if
    /// `SERVER_HOST` is a loopback address, else no link.
    pub metrics_url: Option<String>,
    /// The URL of Grafana, for the link in the gallery. Unset: no link.
    pub grafana_url: Option<String>,
}

impl Section for GalleryConfig {
    const TITLE: &'static str = "Gallery";

    fn check(&self, problems: &mut Problems) {
        problems.check_web_url("metrics_url", self.metrics_url.as_deref());
        problems.check_web_url("grafana_url", self.grafana_url.as_deref());
    }
}
