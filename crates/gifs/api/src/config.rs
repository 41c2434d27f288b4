//! Settings of the service.

use gifs_domain::requests::CachePolicy;
use kennel_config::{HumanDuration, Problems, Reader, Section, Settings};
use kennel_grpc::GrpcClientConfig;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct GifApiConfig {
    /// The Catalogue, gif-storage.
    pub catalogue: GrpcClientConfig,
    /// Media, gif-files.
    pub media: GrpcClientConfig,
    /// Answers to searches.
    pub searches: SearchConfig,
}

impl Settings for GifApiConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            catalogue: reader.named_section("catalogue"),
            media: reader.named_section("media"),
            searches: reader.section(),
        }
    }
}

/// Answers to searches, in the cache.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SearchConfig {
    /// How long an answer is returned without asking the catalogue again.
    pub search_fresh: HumanDuration,
    /// How long an answer is returned if no provider answers.
    pub search_stale: HumanDuration,
    /// How long it is known that nothing matches; 0 for not at all.
    pub search_negative: HumanDuration,
}

impl Default for SearchConfig {
    fn default() -> Self {
        let CachePolicy { fresh, stale, negative } = CachePolicy::default();
        let [search_fresh, search_stale, search_negative] = [fresh, stale, negative].map(HumanDuration);
        Self { search_fresh, search_stale, search_negative }
    }
}

impl SearchConfig {
    /// How long answers last.
    pub const fn policy(&self) -> CachePolicy {
        CachePolicy {
            fresh: self.search_fresh.get(),
            stale: self.search_stale.get(),
            negative: self.search_negative.get(),
        }
    }
}

impl Section for SearchConfig {
    const TITLE: &'static str = "Searches";

    fn check(&self, problems: &mut Problems) {
        problems.check_not_zero("search_fresh", self.search_fresh);
        if self.search_stale < self.search_fresh {
            problems.add("search_stale", "must not be shorter than SEARCH_FRESH");
        }
    }
}
