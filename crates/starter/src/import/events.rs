//! Producers, consumers and the schemas of their events.

use super::output::Out;
use super::{Importer, elements};
use crate::words;
use crate::yaml::Node;

impl Importer {
    pub(super) fn kafka(&mut self, node: &Node) -> Option<Out> {
        let name = self.name_of(node)?;
        if let Some(driver) = node.get("driver").filter(|driver| driver.text() != Some("segmentio")) {
            self.lost(driver, "the brokers are those of the platform: a driver of your own is not supported");
        }
        let mut out = Out::default();
        out.set("name", name.clone());
        let kind = node.get("type").and_then(Node::text);
        if !matches!(kind, Some("producer" | "consumer")) {
            self.lost(node.get("type").unwrap_or(node), "`type` must be producer or consumer");
        }
        out.optional("type", kind.map(str::to_owned));
        let events = elements(node, "events");
        let typed: Vec<_> = events.iter().filter_map(|event| self.event(event)).collect();
        if !typed.is_empty() {
            out.set("topic", self.topic(node, &name, events));
            out.list("events", typed);
        } else if kind == Some("producer") {
            self.lost(node, "a producer needs an event with a schema, and is left out");
            return None;
        }
        Some(out)
    }

    fn event(&mut self, node: &Node) -> Option<Out> {
        let name = node.get("name").and_then(Node::text);
        let schema = node.get("schema").and_then(|schema| Some((schema, schema.text()?)));
        let (Some(name), Some((at, schema))) = (name, schema) else {
            self.lost(node, "an event needs a `name` and the `schema` of its data, and is left out");
            return None;
        };
        let Some((set, id)) = schema.split_once('.') else {
            self.lost(at, "must be the name of an entry of `jsonschema` and the id of a schema");
            return None;
        };
        Some(Out::flow([("name", name.to_owned()), ("schema", format!("{}.{}", words::kebab(set), words::kebab(id)))]))
    }

    /// Each event has a topic of its name there, and the entry has one here.
    fn topic(&mut self, node: &Node, name: &str, events: &[Node]) -> String {
        if let [event] = events {
            return event.get("name").and_then(Node::text).unwrap_or(name).to_owned();
        }
        let message = format!("each event has a topic of its name there; here the entry has one: `{name}`");
        self.lost(node.get("events").unwrap_or(node), message);
        name.to_owned()
    }

    pub(super) fn schemas(&mut self, node: &Node) -> Option<Out> {
        let name = self.name_of(node)?;
        let mut schemas = Vec::new();
        for schema in elements(node, "schemas") {
            match schema.get("id") {
                Some(id) => {
                    let id = self.name(id)?;
                    schemas.push(self.schema(schema, id));
                }
                None => self.lost(schema, "a schema needs an `id`, and is left out"),
            }
        }
        // The old form.
        for path in elements(node, "path") {
            let stem = path.text().and_then(|text| text.rsplit('/').next()?.split('.').next()).unwrap_or_default();
            let mut out = Out::flow([("id", words::kebab(stem))]);
            out.optional("path", path.text().map(|text| text.trim_start_matches("./").to_owned()));
            self.key(path, &mut out);
            schemas.push(out);
        }
        let mut out = Out::default();
        out.set("name", name);
        out.list("schemas", schemas);
        Some(out)
    }

    fn schema(&mut self, node: &Node, id: String) -> Out {
        let mut out = Out::default();
        out.set("id", id);
        out.optional("path", self.path(node));
        self.key(node, &mut out);
        out
    }

    fn key(&mut self, node: &Node, out: &mut Out) {
        self.lost(node, "events need a `key`, the property by which they are ordered: `id` is a placeholder");
        out.set("key", "id");
    }
}
