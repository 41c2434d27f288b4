//! Settings of the providers. `api/gifs/storage` has the contracts of the service.

use gifs_domain::catalogue::Provider;
use kennel_config::{HumanDuration, Problems, Reader, Secret, Section, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The settings of the service.
#[derive(Debug, Clone)]
pub struct GifStorageConfig {
    /// Where GIFs are found.
    pub providers: ProviderConfig,
}

impl Settings for GifStorageConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { providers: reader.section() }
    }
}

/// Where GIFs are found.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderConfig {
    /// The providers that are asked, in this order and separated by commas: `local` (animations that are a part of the
    /// program), `giphy`, `klipy`. The next one is asked if one does not answer.
    pub gif_providers: String,
    /// How long a request to a provider may take. It must be shorter than the deadlines of callers: a request that its caller
    /// gives up does not count as a failure of the provider.
    pub gif_provider_timeout: HumanDuration,
    /// Allow private and loopback addresses for the APIs of providers.
    pub gif_provider_allow_private: bool,
    /// Key of GIPHY.
    pub giphy_api_key: Option<Secret>,
    /// Base URL of the API of GIPHY.
    pub giphy_api_base_url: String,
    /// Maximum number of requests to GIPHY per hour; 0 is no limit. Beta keys allow 100. Replicas that share a cache count
    /// them together, also over restarts; without a shared cache each process counts its own.
    pub giphy_hourly_quota: u32,
    /// Whether to store the files of GIPHY; its terms do not allow it without a contract.
    pub giphy_store_media: bool,
    /// Key of KLIPY.
    pub klipy_api_key: Option<Secret>,
    /// Base URL of the API of KLIPY.
    pub klipy_api_base_url: String,
    /// Maximum number of requests to KLIPY per hour; 0 is no limit. Test keys allow 100. Counted as for GIPHY.
    pub klipy_hourly_quota: u32,
    /// Whether to store the files of KLIPY; ask for a contract that allows it.
    pub klipy_store_media: bool,
}

impl Default for ProviderConfig {
    fn default() -> Self {
        Self {
            gif_providers: "local".to_owned(),
            gif_provider_timeout: HumanDuration::from_millis(800),
            gif_provider_allow_private: false,
            giphy_api_key: None,
            giphy_api_base_url: "https://api.giphy.com/v1".to_owned(),
            giphy_hourly_quota: 100,
            giphy_store_media: false,
            klipy_api_key: None,
            klipy_api_base_url: "https://api.klipy.com/api/v1".to_owned(),
            klipy_hourly_quota: 100,
            klipy_store_media: false,
        }
    }
}

impl ProviderConfig {
    /// The providers, in their order. A name that is none is reported by `check`.
    pub fn providers(&self) -> Vec<Provider> {
        self.names().filter_map(|name| name.parse().ok()).collect()
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.gif_providers.split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

impl Section for ProviderConfig {
    const TITLE: &'static str = "Providers of GIFs";

    fn check(&self, problems: &mut Problems) {
        let providers = self.providers();
        if let Some(error) = self.names().find_map(|name| name.parse::<Provider>().err()) {
            problems.add("gif_providers", error.to_string());
        } else if providers.is_empty() {
            problems.add("gif_providers", "must name at least one");
        } else if (1..providers.len()).any(|index| providers[..index].contains(&providers[index])) {
            problems.add("gif_providers", "must name each provider once");
        }
        for (provider, setting, key) in [
            (Provider::Giphy, "giphy_api_key", &self.giphy_api_key),
            (Provider::Klipy, "klipy_api_key", &self.klipy_api_key),
        ] {
            // A key is a segment of the path or a value of the query.
            let is_valid =
                |key: &Secret| key.expose().len() >= 8 && key.expose().bytes().all(|byte| byte.is_ascii_graphic());
            match key {
                Some(key) if !is_valid(key) => problems.add(setting, "must be at least 8 printable characters"),
                None if providers.contains(&provider) => {
                    problems.add(setting, format!("is required by the provider `{provider}`"));
                }
                _ => {}
            }
        }
        problems.check_base_url("giphy_api_base_url", Some(&self.giphy_api_base_url));
        problems.check_base_url("klipy_api_base_url", Some(&self.klipy_api_base_url));
        problems.check_not_zero("gif_provider_timeout", self.gif_provider_timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(change: impl FnOnce(&mut ProviderConfig)) -> String {
        let mut config = ProviderConfig::default();
        change(&mut config);
        config.validate().map_or_else(|errors| errors.to_string(), |()| String::new())
    }

    fn providers(names: &str) -> Vec<Provider> {
        ProviderConfig { gif_providers: names.to_owned(), ..ProviderConfig::default() }.providers()
    }

    #[test]
    fn providers_are_read_in_their_order() {
        assert_eq!(errors(|_| {}), "");
        assert_eq!(providers("local"), [Provider::Local]);
        assert_eq!(providers(" klipy, giphy,local,"), [Provider::Klipy, Provider::Giphy, Provider::Local]);
    }

    #[test]
    fn wrong_providers_are_reported() {
        for (names, expected) in [
            ("", "must name at least one"),
            (" , ", "must name at least one"),
            ("local,tenor", "must be one of: local, giphy, klipy"),
            ("local,local", "must name each provider once"),
        ] {
            let errors = errors(|config| names.clone_into(&mut config.gif_providers));
            assert_eq!(errors, format!("GIF_PROVIDERS (not set): {expected}"), "{names}");
        }
    }

    #[test]
    fn a_provider_needs_a_key_that_is_not_shown() {
        let both = |config: &mut ProviderConfig| "giphy,klipy".clone_into(&mut config.gif_providers);
        let missing = errors(both);
        assert!(missing.contains("GIPHY_API_KEY (not set): is required by the provider `giphy`"), "{missing}");
        assert!(missing.contains("KLIPY_API_KEY (not set): is required by the provider `klipy`"), "{missing}");
        for key in ["", "short", "with a space", "schlüssel-nummer-1"] {
            let errors = errors(|config| config.giphy_api_key = Some(key.into()));
            assert_eq!(errors, "GIPHY_API_KEY (not set): must be at least 8 printable characters");
        }
        let config = ProviderConfig { giphy_api_key: Some("a-secret-key".into()), ..ProviderConfig::default() };
        assert!(!format!("{config:?}{}", serde_json::to_string(&config).unwrap()).contains("a-secret-key"));
    }
}
