//! Settings of the dog API.

use kennel_config::{HumanDuration, Problems, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The source of new images of dogs.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SourceSettings {
    /// Base URL of an API with the contract of dog.ceo, such as `https://dog.ceo/api`. Unset: images are drawn in-process.
    pub dog_api_base_url: Option<String>,
    /// How long a request to the dog API may take, retries included.
    pub dog_api_timeout: HumanDuration,
    /// Allow private and loopback addresses for the dog API and its images.
    pub dog_api_allow_private: bool,
}

impl Default for SourceSettings {
    fn default() -> Self {
        Self { dog_api_base_url: None, dog_api_timeout: HumanDuration::from_secs(10), dog_api_allow_private: false }
    }
}

impl Section for SourceSettings {
    const TITLE: &'static str = "Dog API";

    fn check(&self, problems: &mut Problems) {
        problems.check_web_url("dog_api_base_url", self.dog_api_base_url.as_deref());
        problems.check_not_zero("dog_api_timeout", self.dog_api_timeout);
    }
}
