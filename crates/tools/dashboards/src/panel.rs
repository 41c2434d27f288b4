//! A panel: title, queries and visualization.

use serde_json::{Value, json};

use crate::Expr;

/// Visualization of a panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One large number.
    Stat,
    /// Lines over time.
    TimeSeries,
    /// Rows, one for each series.
    Table,
    /// Lines of logs.
    Logs,
}

/// Unit of a panel's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Plain numbers.
    Number,
    /// A ratio, from 0 to 1.
    Ratio,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Events per second.
    PerSecond,
    /// Unix time in milliseconds; the panel shows how long ago it was.
    Since,
}

/// Datasource of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Metrics.
    Prometheus,
    /// Traces.
    Tempo,
    /// Logs.
    Loki,
}

/// One query of a panel.
#[derive(Debug, Clone)]
pub struct Query {
    /// Datasource.
    pub source: Source,
    /// Query, in the language of the datasource.
    pub expr: String,
    /// Name of a series; `{{label}}` is replaced by the value of the label.
    pub legend: String,
}

/// A panel.
#[derive(Debug, Clone)]
pub struct Panel {
    title: &'static str,
    description: &'static str,
    kind: Kind,
    unit: Unit,
    width: u8,
    queries: Vec<Query>,
    limits: Vec<(f64, &'static str)>,
}

impl Unit {
    const fn id(self) -> &'static str {
        match self {
            Self::Number => "short",
            Self::Ratio => "percentunit",
            Self::Seconds => "s",
            Self::Bytes => "bytes",
            Self::PerSecond => "reqps",
            Self::Since => "dateTimeFromNow",
        }
    }
}

impl Source {
    /// The `uid` of the provisioned datasource, which is its type as well.
    pub const fn uid(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Tempo => "tempo",
            Self::Loki => "loki",
        }
    }

    fn reference(self) -> Value {
        json!({ "type": self.uid(), "uid": self.uid() })
    }
}

impl Query {
    /// Whether the query reads histogram buckets: only those have exemplars, and for an expression without series
    /// Prometheus 3 returns no result at all for an exemplar query.
    pub fn has_exemplars(&self) -> bool {
        self.source == Source::Prometheus && self.expr.contains("_bucket")
    }
}

impl Panel {
    /// One large number, over a sixth of the width.
    pub fn stat(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::Stat, unit, 4)
    }

    /// Lines over time, over half of the width.
    pub fn lines(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::TimeSeries, unit, 12)
    }

    /// A table over the full width.
    pub fn table(title: &'static str, unit: Unit) -> Self {
        Self::new(title, Kind::Table, unit, 24)
    }

    /// Lines of logs over the full width.
    pub fn logs(title: &'static str) -> Self {
        Self::new(title, Kind::Logs, Unit::Number, 24)
    }

    fn new(title: &'static str, kind: Kind, unit: Unit, width: u8) -> Self {
        Self { title, description: "", kind, unit, width, queries: Vec::new(), limits: Vec::new() }
    }

    /// Sets the description: what the values mean and which are critical.
    #[must_use]
    pub const fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// Sets the width in columns; a dashboard has 24.
    #[must_use]
    pub const fn wide(mut self, columns: u8) -> Self {
        self.width = columns;
        self
    }

    /// Adds a Prometheus query.
    #[must_use]
    pub fn metric(self, expr: &Expr, legend: &str) -> Self {
        self.query(Source::Prometheus, expr.as_str(), legend)
    }

    /// Adds a query of another datasource.
    #[must_use]
    pub fn query(mut self, source: Source, expr: &str, legend: &str) -> Self {
        self.queries.push(Query { source, expr: expr.to_owned(), legend: legend.to_owned() });
        self
    }

    /// Adds a colour threshold at `value`.
    #[must_use]
    pub fn limit(mut self, value: f64, colour: &'static str) -> Self {
        self.limits.push((value, colour));
        self
    }

    /// Title of the panel.
    pub const fn title(&self) -> &'static str {
        self.title
    }

    /// Queries of the panel.
    pub fn queries(&self) -> &[Query] {
        &self.queries
    }

    pub(crate) const fn width(&self) -> u8 {
        self.width
    }

    pub(crate) const fn height(&self) -> u8 {
        match self.kind {
            Kind::Stat => 4,
            Kind::TimeSeries => 8,
            Kind::Table | Kind::Logs => 9,
        }
    }

    pub(crate) fn to_value(&self, id: usize, x: u8, y: u32) -> Value {
        let source = self.queries.first().map_or(Source::Prometheus, |query| query.source);
        json!({
            "id": id,
            "title": self.title,
            "description": self.description,
            "type": self.plugin(),
            "datasource": source.reference(),
            "gridPos": { "h": self.height(), "w": self.width, "x": x, "y": y },
            "fieldConfig": { "defaults": self.defaults(), "overrides": self.overrides() },
            "options": self.options(),
            "targets": self.targets(),
        })
    }

    const fn plugin(&self) -> &'static str {
        match self.kind {
            Kind::Stat => "stat",
            Kind::TimeSeries => "timeseries",
            Kind::Table => "table",
            Kind::Logs => "logs",
        }
    }

    fn defaults(&self) -> Value {
        let custom = match self.kind {
            Kind::TimeSeries => json!({ "fillOpacity": 8, "lineWidth": 1, "showPoints": "never" }),
            _ => json!({}),
        };
        json!({ "unit": self.unit.id(), "custom": custom })
    }

    fn overrides(&self) -> Value {
        if self.limits.is_empty() {
            return json!([]);
        }
        let base = std::iter::once(json!({ "color": "green", "value": null }));
        let steps = base.chain(self.limits.iter().map(|(value, colour)| json!({ "color": colour, "value": value })));
        let thresholds = json!({ "mode": "absolute", "steps": steps.collect::<Vec<_>>() });
        json!([{
            "matcher": { "id": "byRegexp", "options": ".*" },
            "properties": [
                { "id": "thresholds", "value": thresholds },
                { "id": "color", "value": { "mode": "thresholds" } },
            ],
        }])
    }

    fn options(&self) -> Value {
        match self.kind {
            Kind::Stat => json!({
                "colorMode": "value",
                "graphMode": "area",
                "reduceOptions": { "calcs": ["lastNotNull"], "fields": "", "values": false },
                "textMode": "auto",
            }),
            Kind::TimeSeries => json!({
                "legend": { "calcs": ["mean", "max"], "displayMode": "table", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::Table => json!({ "showHeader": true }),
            Kind::Logs => json!({
                "enableLogDetails": true, "showTime": true, "sortOrder": "Descending", "wrapLogMessage": true,
            }),
        }
    }

    fn targets(&self) -> Vec<Value> {
        self.queries.iter().zip('A'..='Z').map(|(query, id)| self.target(query, id)).collect()
    }

    fn target(&self, query: &Query, id: char) -> Value {
        let (id, source) = (id.to_string(), query.source.reference());
        match query.source {
            Source::Prometheus => {
                let instant = self.kind == Kind::Table;
                json!({
                    "refId": id, "datasource": source, "expr": query.expr, "legendFormat": query.legend,
                    "instant": instant, "range": !instant,
                    "exemplar": self.kind == Kind::TimeSeries && query.has_exemplars(),
                    "format": if instant { "table" } else { "time_series" },
                })
            }
            Source::Tempo => json!({
                "refId": id, "datasource": source, "query": query.expr, "queryType": "traceql",
                "tableType": "traces", "limit": 20,
            }),
            Source::Loki => json!({
                "refId": id, "datasource": source, "expr": query.expr, "queryType": "range",
            }),
        }
    }
}
