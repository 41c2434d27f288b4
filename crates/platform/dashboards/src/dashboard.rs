//! A dashboard: panels in rows, and the choice of services at the top.

use kennel_telemetry::metrics::names;
use serde_json::{Map, Value, json};

use crate::{Error, Panel};

/// The version of Grafana's own form that the JSON is written in.
const SCHEMA: u32 = 41;
/// What all dashboards share, so that each links to the others.
const TAG: &str = "kennel";
const COLUMNS: u8 = 24;

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    rows: Vec<(&'static str, Vec<Panel>)>,
}

impl Dashboard {
    /// An empty one. `uid` names its file and is part of its address.
    pub const fn new(uid: &'static str, title: &'static str, description: &'static str) -> Self {
        Self { uid, title, description, rows: Vec::new() }
    }

    /// Adds a row with a heading.
    #[must_use]
    pub fn row(mut self, title: &'static str, panels: Vec<Panel>) -> Self {
        self.rows.push((title, panels));
        self
    }

    /// What names it.
    pub const fn uid(&self) -> &'static str {
        self.uid
    }

    /// What it is called.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Its panels, from the top.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|(_, panels)| panels)
    }

    /// What Grafana reads; the same text in every build.
    pub fn to_json(&self) -> Result<String, Error> {
        let dashboard = json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "links": [{
                "asDropdown": true, "icon": "external link", "includeVars": true, "keepTime": true, "tags": [TAG],
                "targetBlank": false, "title": "Kennel", "tooltip": "The other dashboards", "type": "dashboards",
            }],
            "templating": { "list": [services()] },
            "panels": self.placed(),
        });
        Ok(serde_json::to_string_pretty(&sorted(dashboard))? + "\n")
    }

    fn placed(&self) -> Vec<Value> {
        let mut placed = Vec::new();
        let mut top = 0;
        for (title, panels) in &self.rows {
            placed.push(json!({
                "id": placed.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": top },
            }));
            top += 1;
            let (mut left, mut tallest) = (0, 0);
            for panel in panels {
                if left + panel.width() > COLUMNS {
                    (left, top, tallest) = (0, top + u32::from(tallest), 0);
                }
                placed.push(panel.to_value(placed.len() + 1, left, top));
                left += panel.width();
                tallest = tallest.max(panel.height());
            }
            top += u32::from(tallest);
        }
        placed
    }
}

/// The choice of services: every job that says what it was built from.
fn services() -> Value {
    json!({
        "name": "job",
        "label": "Service",
        "type": "query",
        "datasource": { "type": "prometheus", "uid": "prometheus" },
        "query": { "query": format!("label_values({}, job)", names::BUILD_INFO), "refId": "services" },
        "refresh": 2,
        "sort": 1,
        "multi": true,
        "includeAll": true,
        "allValue": ".+",
        "current": { "text": ["All"], "value": ["$__all"] },
    })
}

/// With the keys of every object in order: whether `serde_json` keeps another depends on features of the whole build.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut pairs: Vec<_> = map.into_iter().map(|(key, value)| (key, sorted(value))).collect();
            pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(pairs))
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}
