//! Checks what Grafana 12 requires of provisioned datasources, and evaluates their correlations on frames of Loki and
//! Prometheus. Grafana's documentation calls `description` optional, but its provisioner fails without it.

#![expect(clippy::unwrap_used, reason = "a test fails at the first error")]

use std::path::Path;

use regex::RegexBuilder;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct File {
    datasources: Vec<Datasource>,
}

#[derive(Deserialize)]
struct Datasource {
    uid: String,
    #[serde(default)]
    correlations: Vec<Correlation>,
}

/// Grafana up to 12 panics on a `type` outside of `config`, although it is documented: here it is an unknown field.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Correlation {
    #[serde(rename = "targetUID")]
    target_uid: String,
    label: String,
    description: String,
    config: Config,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    r#type: String,
    field: String,
    target: Value,
    #[serde(default)]
    transformations: Vec<Transformation>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Transformation {
    r#type: String,
    field: String,
    expression: String,
    map_value: String,
}

fn datasources() -> Vec<Datasource> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../infra/grafana/provisioning/datasources/kennel.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    yaml_serde::from_str::<File>(&text).unwrap().datasources
}

fn correlation_from(uid: &str) -> Correlation {
    let source = datasources().into_iter().find(|source| source.uid == uid).unwrap();
    let [correlation] = <[Correlation; 1]>::try_from(source.correlations).ok().unwrap();
    correlation
}

/// Fields of one row of a frame, as Explore receives them.
fn row(uid: &str) -> Value {
    match uid {
        // Loki's labels are one field, and its value an object.
        "loki" => json!({
            "labels": {
                "detected_level": "info",
                "note": "\"service_name\":\"not this\"",
                "other_service_name": "nor this",
                "service_name": "dogs",
                "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
            },
            "Time": 1_764_374_400_000_u64,
            "Line": "{\"message\":\"listening\"}",
            "tsNs": "1764374400000000000",
            "labelTypes": { "service_name": "I", "trace_id": "S" },
            "id": "1764374400000000000_1",
        }),
        // Prometheus' table has a field for each label.
        _ => {
            json!({ "Time": 1_764_374_400_000_u64, "__name__": "up", "instance": "dogs:9090", "job": "dogs", "Value": 1 })
        }
    }
}

/// Resolves the query of a correlation like Grafana: transformations first, then the fields of the row.
fn resolve(correlation: &Correlation, row: &Value) -> String {
    let mut query = correlation.config.target["expr"].as_str().unwrap().replace("$$", "$");
    for transformation in &correlation.config.transformations {
        // Grafana matches text or compact JSON, ignores case, and uses the last match.
        let value = &row[&transformation.field];
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let regex = RegexBuilder::new(&transformation.expression).case_insensitive(true).build().unwrap();
        let found = regex.captures_iter(&text).last().unwrap();
        query = query.replace(&format!("${{{}}}", transformation.map_value), &found[1]);
    }
    for (name, value) in row.as_object().unwrap() {
        if let Some(value) = value.as_str() {
            query = query.replace(&format!("${{{name}}}"), value);
        }
    }
    query
}

#[test]
fn every_correlation_has_what_the_provisioner_requires() {
    let datasources = datasources();
    let correlations: Vec<_> = datasources.iter().flat_map(|source| &source.correlations).collect();
    assert_eq!(correlations.len(), 2);
    for correlation in correlations {
        assert!(!correlation.label.is_empty() && !correlation.description.is_empty());
        assert_eq!(correlation.config.r#type, "query");
        assert!(datasources.iter().any(|source| source.uid == correlation.target_uid), "{}", correlation.target_uid);
        for transformation in &correlation.config.transformations {
            assert!(transformation.r#type == "regex" && !transformation.expression.is_empty());
        }
    }
}

#[test]
fn every_correlation_is_visible_and_links_to_the_service_of_its_row() {
    for (uid, query) in [
        ("prometheus", r#"{service_name="dogs"}"#),
        ("loki", r#"sum by (route, status) (rate(http_requests_total{job="dogs",status=~"5.."}[5m]))"#),
    ] {
        let (correlation, row) = (correlation_from(uid), row(uid));
        assert!(row.get(&correlation.config.field).is_some(), "{uid}: no field {}", correlation.config.field);
        assert_eq!(resolve(&correlation, &row), query);
    }
}
