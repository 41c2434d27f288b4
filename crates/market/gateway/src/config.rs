//! Settings of the gateway.

use std::path::PathBuf;

use kennel_config::{Problems, Reader, Section, Settings};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::routes::{MARKET, Routes};

/// The settings of the service.
#[derive(Debug, Clone, Default)]
pub struct ApiGatewayConfig {
    /// What the environment says.
    pub gateway: GatewayConfig,
    /// What the routes file says.
    pub(crate) routes: Routes,
}

/// The gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GatewayConfig {
    /// File with the routes, in TOML. Unset: those of the market analytics on this machine.
    pub gateway_routes: Option<PathBuf>,
    /// Other URLs of upstreams of the routes file, such as `analytics=http://analytics-api:8083`, separated by commas. A name
    /// that is there several times has several URLs.
    pub gateway_upstreams: Vec<String>,
    /// How many proxies in front of the gateway are trusted to append the address of their client to `X-Forwarded-For`.
    pub gateway_trusted_hops: u8,
}

impl Section for GatewayConfig {
    const TITLE: &'static str = "Gateway";

    fn check(&self, problems: &mut Problems) {
        if let Err(message) = self.routes() {
            problems.add(if self.upstreams().is_err() { "gateway_upstreams" } else { "gateway_routes" }, message);
        }
    }
}

impl Settings for ApiGatewayConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        let gateway: GatewayConfig = reader.section();
        let routes = gateway.routes().unwrap_or_default();
        Self { gateway, routes }
    }
}

impl GatewayConfig {
    /// Reads the routes. Fails with all problems of the file, one on each line.
    pub(crate) fn routes(&self) -> Result<Routes, String> {
        let upstreams = self.upstreams()?;
        let text = match &self.gateway_routes {
            None => MARKET.to_owned(),
            Some(file) => {
                std::fs::read_to_string(file).map_err(|error| format!("cannot read {}: {error}", file.display()))?
            }
        };
        Routes::parse(&text, &upstreams).map_err(|problems| problems.join("\n  "))
    }

    /// The URLs of each upstream that is named.
    fn upstreams(&self) -> Result<Vec<(String, Vec<String>)>, String> {
        let mut upstreams: Vec<(String, Vec<String>)> = Vec::new();
        for one in &self.gateway_upstreams {
            let (name, url) = one.split_once('=').ok_or("must be names with URLs, such as auth=http://auth:8085")?;
            let (name, url) = (name.trim(), url.trim().to_owned());
            match upstreams.iter_mut().find(|(known, _)| known == name) {
                Some((_, urls)) => urls.push(url),
                None => upstreams.push((name.to_owned(), vec![url])),
            }
        }
        Ok(upstreams)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(routes: Option<&str>, upstreams: &[&str]) -> String {
        let config = GatewayConfig {
            gateway_routes: routes.map(PathBuf::from),
            gateway_upstreams: upstreams.iter().map(|&upstream| upstream.to_owned()).collect(),
            gateway_trusted_hops: 0,
        };
        config.validate().err().map(|errors| errors.to_string()).unwrap_or_default()
    }

    #[test]
    fn the_routes_are_checked_with_the_settings() {
        assert_eq!(problems(None, &[]), "");
        assert_eq!(problems(None, &["analytics=http://a:1", "analytics=http://b:1"]), "");
        assert!(problems(Some("/no/such"), &[]).starts_with("GATEWAY_ROUTES (not set): cannot read /no/such"));
        assert!(problems(None, &["http://a:1"]).starts_with("GATEWAY_UPSTREAMS (not set): must be names"));
        let unknown = problems(None, &["a=http://a:1", "analytics=b"]);
        assert_eq!(unknown.lines().count(), 2, "{unknown}");
    }
}
