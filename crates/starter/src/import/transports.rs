//! REST, gRPC and command lines.

use super::output::Out;
use super::{Importer, supports};
use crate::yaml::Node;

impl Importer {
    pub(super) fn rest(&mut self, node: &Node) -> Option<Out> {
        let generator = node.get("generator_type").and_then(Node::text);
        let template = node.get("generator_template").and_then(Node::text);
        let name = node.get("name").and_then(Node::text);
        // go-project-starter takes the name for the template, too.
        if template == Some("sys") || name == Some("sys") {
            self.built_in.extend(name.map(|name| ("transport", name.to_owned())));
            self.note(
                node,
                "every application has metrics, health and profiles on `PROMETHEUS_PORT`, without an entry",
            );
            return None;
        }
        let mut out = Out::default();
        out.optional("name", Some(self.name_of(node)?));
        let is_client = generator == Some("ogen_client");
        match generator {
            Some("ogen") => out.set("generator_type", "openapi"),
            Some("ogen_client") => out.set("generator_type", "openapi_client"),
            _ => {
                let at = node.get("generator_type").unwrap_or(node);
                self.lost(at, "`generator_type` must be ogen, ogen_client, or template with the template sys");
                return None;
            }
        }
        out.optional("path", self.path(node));
        self.port(node, is_client, &mut out);
        self.instantiation(node);
        if let Some(auth) = node.get("auth_params").filter(|_| is_client) {
            out.section("auth_params", self.auth(auth));
        } else if let Some(auth) = node.get("auth_params") {
            self.lost(auth, "`auth_params` is for clients: those of a server are in its document, as `security`");
        }
        Some(out)
    }

    fn auth(&mut self, node: &Node) -> Out {
        let mut out = Out::default();
        for key in ["transport", "type"] {
            match node.get(key).and_then(|value| Some((value, value.text()?))) {
                Some((value, text)) => {
                    if !supports("rest.auth_params", key, Some(text)) {
                        self.lost(value, format!("`{key}: {text}` is not supported"));
                    }
                    out.set(key, text);
                }
                None => self.lost(node, format!("`{key}` is missing")),
            }
        }
        out
    }

    fn port(&mut self, node: &Node, is_client: bool, out: &mut Out) {
        let Some(port) = node.get("port") else { return };
        if is_client {
            self.note(port, "a client has no port: it is in the URL of its server, which is a setting");
        } else {
            out.optional("port", port.text().map(str::to_owned));
        }
    }

    pub(super) fn instantiation(&mut self, node: &Node) {
        if let Some(value) = node.get("instantiation").filter(|value| value.text() == Some("dynamic")) {
            self.lost(value, "a client has one server, which is a setting: make those of other servers in your code");
        }
    }

    pub(super) fn grpc(&mut self, node: &Node) -> Option<Out> {
        let mut out = Out::default();
        out.optional("name", Some(self.name_of(node)?));
        let is_client = match node.get("generator_type").and_then(Node::text) {
            Some("buf_client") => true,
            // It was not implemented there.
            Some("buf_server") => false,
            _ => {
                let at = node.get("generator_type").unwrap_or(node);
                self.lost(at, "`generator_type` must be buf_client or buf_server");
                return None;
            }
        };
        out.set("generator_type", if is_client { "proto_client" } else { "proto" });
        if let Some(path) = self.path(node) {
            let below = format!("proto/{path}");
            let is_below = path.starts_with("proto/");
            if let Some(at) = node.get("path").filter(|_| !is_below) {
                self.note(at, format!("protobuf files are below `proto/`: copy {path} to {below}"));
            }
            out.set("path", if is_below { path } else { below });
        }
        self.port(node, is_client, &mut out);
        self.instantiation(node);
        Some(out)
    }

    pub(super) fn cli(&mut self, node: &Node) -> Option<Out> {
        let mut out = Out::default();
        out.optional("name", Some(self.name_of(node)?));
        out.optional("path", self.path(node));
        Some(out)
    }
}
