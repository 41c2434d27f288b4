//! Applications, their workers and their drivers.

use super::output::Out;
use super::{Importer, either, elements, supports};
use crate::words;
use crate::yaml::Node;

impl Importer {
    pub(super) fn worker(&mut self, node: &Node) -> Option<Out> {
        let name = self.name_of(node)?;
        let generator = node.get("generator_template").or_else(|| node.get("generator_type"));
        let kind = generator.and_then(Node::text).unwrap_or_default();
        let at = generator.unwrap_or(node);
        if !supports("worker", "generator_type", Some(kind)) {
            self.lost(at, format!("nothing is generated for workers of the type `{kind}`: it is left out"));
            return None;
        }
        if kind == "daemon" {
            self.note(at, "a daemon is one loop with an interval: to work in parallel, spawn tasks in it");
        }
        let mut out = Out::default();
        out.set("name", name);
        out.set("generator_type", kind);
        out.optional("path", self.path(node));
        Some(out)
    }

    pub(super) fn driver(&mut self, root: &Node, node: &Node) -> Option<Out> {
        let name = self.name_of(node)?;
        let package = node.get("package").and_then(Node::text).unwrap_or_default();
        // The one of a Telegram worker belongs to it here.
        let given = node.get("name").and_then(Node::text).unwrap_or_default();
        if package == "telegram" && is_of_bot(root, given) {
            self.built_in.push(("driver", given.to_owned()));
            self.note(node, "a Telegram worker has its client, without a driver");
            return None;
        }
        let kind = match package {
            "telegram" => "telegram",
            _ if package.contains("s3") => "s3",
            _ => "custom",
        };
        self.note(node, format!("`{name}` is a driver of the type {kind}: write its code in Rust"));
        Some(Out::flow([("name", name), ("generator_type", kind.to_owned())]))
    }

    pub(super) fn application(&mut self, node: &Node) -> Option<Out> {
        let mut out = Out::default();
        out.set("name", self.name_of(node)?);
        let transports = self.references(elements(node, "transport").iter(), "transport");
        out.list("transport", transports.into_iter().map(|name| Out::flow([("name", name)])).collect());
        let texts = |names: Vec<String>| names.into_iter().map(Out::text).collect();
        out.list("kafka", texts(self.references(elements(node, "kafka").iter(), "kafka")));
        out.list("driver", texts(self.references(elements(node, "driver").iter(), "driver")));
        out.list("worker", texts(self.references(either(node, "worker", "workers"), "worker")));
        out.optional("cli", node.get("cli").and_then(Node::text).map(words::kebab));
        Some(out)
    }

    fn references<'n>(&mut self, used: impl Iterator<Item = &'n Node>, section: &str) -> Vec<String> {
        used.filter_map(|node| self.reference(node, section)).collect()
    }

    /// The name of an entry that an application uses: as text, or in a section.
    fn reference(&mut self, node: &Node, section: &str) -> Option<String> {
        let at = node.get("name").unwrap_or(node);
        let Some(name) = at.text() else {
            self.lost(node, "must be the name of an entry");
            return None;
        };
        for settings in [Some(node), node.get("config")].into_iter().flatten() {
            self.instantiation(settings);
            if let Some(optional) = settings.get("optional").filter(|value| value.boolean() == Some(true)) {
                self.lost(optional, "what an application uses is not optional here");
            }
        }
        let is_built_in = self.built_in.iter().any(|(known, built_in)| *known == section && built_in == name);
        (!is_built_in).then(|| words::kebab(name))
    }
}

/// Whether an application has the driver and a Telegram worker.
fn is_of_bot(root: &Node, driver: &str) -> bool {
    let name = |node: &Node| node.get("name").unwrap_or(node).text().map(str::to_owned);
    let is_telegram = |node: &&Node| {
        let generator = node.get("generator_template").or_else(|| node.get("generator_type"));
        generator.and_then(Node::text) == Some("telegram")
    };
    let bots: Vec<_> = either(root, "worker", "workers").filter(is_telegram).filter_map(name).collect();
    elements(root, "applications").iter().any(|application| {
        let uses = elements(application, "driver").iter().filter_map(name).any(|used| used == driver);
        uses && either(application, "worker", "workers").filter_map(name).any(|used| bots.contains(&used))
    })
}
