//! A dashboard: panels in rows, and usually a variable that selects services.

use kennel_telemetry::metrics::names;
use serde_json::{Map, Value, json};

use crate::{Error, Panel};

/// Version of Grafana's dashboard schema.
const SCHEMA_VERSION: u32 = 41;
/// Tag of all dashboards, by which each links to the others.
const TAG: &str = "kennel";
const COLUMNS: u8 = 24;

/// A dashboard.
#[derive(Debug, Clone)]
pub struct Dashboard {
    uid: &'static str,
    title: &'static str,
    description: &'static str,
    rows: Vec<(&'static str, Vec<Panel>)>,
    variables: Vec<Value>,
}

impl Dashboard {
    /// Creates an empty dashboard. `uid` is the name of its file and part of its URL.
    pub fn new(uid: &'static str, title: &'static str, description: &'static str) -> Self {
        Self { uid, title, description, rows: Vec::new(), variables: vec![services()] }
    }

    /// Leaves out the variable that selects services.
    #[must_use]
    pub fn without_variable(mut self) -> Self {
        self.variables.clear();
        self
    }

    /// Adds a row with a heading.
    #[must_use]
    pub fn row(mut self, title: &'static str, panels: Vec<Panel>) -> Self {
        self.rows.push((title, panels));
        self
    }

    /// Unique id of the dashboard.
    pub const fn uid(&self) -> &'static str {
        self.uid
    }

    /// Title of the dashboard.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Panels of the dashboard, from top to bottom.
    pub fn panels(&self) -> impl Iterator<Item = &Panel> {
        self.rows.iter().flat_map(|(_, panels)| panels)
    }

    /// Renders the JSON that Grafana reads. The output is deterministic.
    pub fn to_json(&self) -> Result<String, Error> {
        let dashboard = json!({
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": [TAG],
            "schemaVersion": SCHEMA_VERSION,
            "editable": false,
            "graphTooltip": 1,
            "refresh": "30s",
            "time": { "from": "now-1h", "to": "now" },
            "timezone": "browser",
            "links": [{
                "asDropdown": true, "icon": "external link", "includeVars": true, "keepTime": true, "tags": [TAG],
                "targetBlank": false, "title": "Kennel", "tooltip": "The other dashboards", "type": "dashboards",
            }],
            "templating": { "list": self.variables },
            "panels": self.layout(),
        });
        Ok(serde_json::to_string_pretty(&sorted(dashboard))? + "\n")
    }

    fn layout(&self) -> Vec<Value> {
        let mut panels_json = Vec::new();
        let mut top = 0;
        for (title, panels) in &self.rows {
            panels_json.push(json!({
                "id": panels_json.len() + 1, "type": "row", "title": title, "collapsed": false, "panels": [],
                "gridPos": { "h": 1, "w": COLUMNS, "x": 0, "y": top },
            }));
            top += 1;
            let (mut left, mut tallest) = (0, 0);
            for panel in panels {
                if left + panel.width() > COLUMNS {
                    (left, top, tallest) = (0, top + u32::from(tallest), 0);
                }
                panels_json.push(panel.to_value(panels_json.len() + 1, left, top));
                left += panel.width();
                tallest = tallest.max(panel.height());
            }
            top += u32::from(tallest);
        }
        panels_json
    }
}

/// Variable that selects services: every job that exports its build info.
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

/// Sorts the keys of every object: the order of `serde_json` depends on Cargo features of the entire build.
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
