//! Exposition formats of metrics, and content negotiation.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use prometheus::proto::MetricFamily;
use prometheus::{Encoder as _, Registry, TextEncoder};

use super::openmetrics::{self, is_exemplars};

/// Media types of the formats, without parameters.
const TEXT: [&str; 3] = ["text/plain", "text/*", "*/*"];
const OPEN_METRICS: &str = "application/openmetrics-text";

/// Exposition format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// The classic text format of Prometheus, version 0.0.4.
    Text,
    /// `OpenMetrics` 1.0.0, which has exemplars.
    OpenMetrics,
}

impl Format {
    /// Returns the format for this `Accept` header: `OpenMetrics` if it is listed by name and no other format has a
    /// higher quality.
    pub fn accepted(accept: &str) -> Self {
        let (mut text, mut open) = (0.0_f32, 0.0_f32);
        for range in accept.split(',') {
            let (media, quality, version) = read(range);
            if media.eq_ignore_ascii_case(OPEN_METRICS) && matches!(version, None | Some("1.0.0")) {
                open = open.max(quality);
            } else if TEXT.iter().any(|known| media.eq_ignore_ascii_case(known)) {
                text = text.max(quality);
            }
        }
        if open > 0.0 && open >= text { Self::OpenMetrics } else { Self::Text }
    }

    /// Returns the `Content-Type` header of this format.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// Encodes all metrics of the registries.
    pub fn encode(self, registries: &[Registry]) -> String {
        let mut families = gather(registries);
        let written = match self {
            Self::Text => {
                families.retain(|family| !is_exemplars(family));
                let mut text = Vec::new();
                let written = TextEncoder::new().encode(&families, &mut text).map_err(|error| error.to_string());
                written.and_then(|()| String::from_utf8(text).map_err(|error| error.to_string()))
            }
            Self::OpenMetrics => openmetrics::encode(&families).map_err(|error| error.to_string()),
        };
        written.unwrap_or_else(|error| {
            tracing::warn!(error, "cannot encode metrics");
            String::new()
        })
    }
}

/// Gathers all metrics. Those of the same name form one family: registries differ in their labels, not in their names.
fn gather(registries: &[Registry]) -> Vec<MetricFamily> {
    let mut families: BTreeMap<String, MetricFamily> = BTreeMap::new();
    for family in registries.iter().flat_map(Registry::gather) {
        match families.entry(family.name().to_owned()) {
            Entry::Vacant(entry) => drop(entry.insert(family)),
            Entry::Occupied(mut entry) => {
                entry.get_mut().mut_metric().extend(family.get_metric().iter().cloned());
            }
        }
    }
    families.into_values().collect()
}

/// Parses a range of an `Accept` header: media type, quality and version.
fn read(range: &str) -> (&str, f32, Option<&str>) {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    let (mut quality, mut version) = (1.0, None);
    for (name, value) in parts.filter_map(|part| part.split_once('=')) {
        match name.trim() {
            "q" => quality = value.trim().parse().unwrap_or(0.0),
            "version" => version = Some(value.trim().trim_matches('"')),
            _ => {}
        }
    }
    (media, quality, version)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `Accept` headers of Prometheus 2.42, 3.9 and others.
    #[test]
    fn open_metrics_needs_to_be_requested() {
        for accept in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
             text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;\
             version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,\
             */*;q=0.2",
            "application/openmetrics-text; version=\"1.0.0\"; charset=utf-8",
            "Application/OpenMetrics-Text, */*",
        ] {
            assert_eq!(Format::accepted(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "application/json",
            "text/plain;version=0.0.4;q=1,*/*;q=0.1",
            "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=nonsense, text/plain",
            ",;,=;q",
        ] {
            assert_eq!(Format::accepted(accept), Format::Text, "{accept}");
        }
    }
}
