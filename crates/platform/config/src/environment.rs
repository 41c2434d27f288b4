//! The external layers: the environment, `.env` and the file.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use crate::dotenv;
use crate::file;
use crate::layer::Layer;
use crate::problem::Problems;
use crate::raw::{Origin, Raw, Source};

/// Key of the path of the TOML file.
pub(crate) const CONFIG_FILE: &str = "config_file";

/// The sources of a process's configuration.
#[derive(Default)]
pub struct Environment {
    variables: Vec<(OsString, OsString)>,
    dotenv: Option<(String, io::Result<String>)>,
}

impl std::fmt::Debug for Environment {
    /// Omits values, which may be secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Environment").field("variables", &self.variables.len()).finish_non_exhaustive()
    }
}

impl Environment {
    /// Returns the variables of this process, and `.env` in its working directory if it exists.
    pub fn from_process() -> Self {
        let variables = std::env::vars_os().collect();
        Self { variables, dotenv: None }.dotenv_file(".env")
    }

    /// Returns these variables and no `.env`.
    pub fn from_pairs<N: Into<OsString>, V: Into<OsString>>(pairs: impl IntoIterator<Item = (N, V)>) -> Self {
        let variables = pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self { variables, dotenv: None }
    }

    /// Adds this `.env` file, if it exists.
    #[must_use]
    pub fn dotenv_file(mut self, path: impl AsRef<Path>) -> Self {
        let path = path.as_ref();
        self.dotenv = match std::fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            read => Some((path.display().to_string(), read)),
        };
        self
    }

    /// Returns the layers in ascending priority.
    pub(crate) fn layers(&self, problems: &mut Problems) -> [Layer; 3] {
        let (dotenv, environment) = (self.dotenv_layer(problems), self.variables_layer());
        let file = environment.get(CONFIG_FILE).or_else(|| dotenv.get(CONFIG_FILE));
        let file = file.map(|(path, source)| config_file(path, source, problems)).unwrap_or_default();
        [file, dotenv, environment]
    }

    fn variables_layer(&self) -> Layer {
        let mut layer = Layer::default();
        for (name, value) in &self.variables {
            let Some(name) = name.to_str() else { continue };
            if value.to_str().is_some_and(|text| is_service_link(name, text)) {
                let source = Source { name: name.to_owned(), origin: Origin::Environment };
                layer.insert_service_link(name.to_ascii_lowercase(), source);
                continue;
            }
            let raw = value.to_str().map_or(Raw::NotUnicode, |text| Raw::Text(text.to_owned()));
            set(&mut layer, name, raw, Origin::Environment);
        }
        layer
    }

    fn dotenv_layer(&self, problems: &mut Problems) -> Layer {
        let mut layer = Layer::default();
        match &self.dotenv {
            None => {}
            Some((path, Err(error))) => problems.add_at(path, format!("cannot be read: {}", error.kind())),
            Some((path, Ok(text))) => {
                let (assignments, invalid) = dotenv::parse(text);
                for line in invalid {
                    problems.add_at(&format!("{path}:{}", line.line), line.message);
                }
                for assignment in assignments {
                    let origin = Origin::Line { path: path.clone(), line: assignment.line };
                    set(&mut layer, &assignment.name, Raw::Text(assignment.value), origin);
                }
            }
        }
        layer
    }
}

/// Returns whether Kubernetes or Docker links created this variable for a service: one named `grpc` becomes
/// `GRPC_PORT=tcp://10.0.0.1:50051` in every pod of its namespace.
fn is_service_link(name: &str, value: &str) -> bool {
    let Some((protocol, address)) = value.split_once("://") else { return false };
    let Some((host, port)) = address.rsplit_once(':') else { return false };
    name.ends_with("_PORT")
        && matches!(protocol, "tcp" | "udp" | "sctp")
        && !host.is_empty()
        && port.parse::<u16>().is_ok()
}

/// Settings are upper-case variables. An empty one counts as unset.
fn set(layer: &mut Layer, name: &str, raw: Raw, origin: Origin) {
    let empty = matches!(&raw, Raw::Text(text) if text.is_empty());
    if !empty && !name.contains(|c: char| c.is_ascii_lowercase()) {
        let source = Source { name: name.to_owned(), origin };
        layer.insert(name.to_ascii_lowercase(), raw, source);
    }
}

fn config_file(path: &Raw, source: &Source, problems: &mut Problems) -> Layer {
    let Raw::Text(path) = path else {
        problems.add_at(source, "must be the path of a file");
        return Layer::default();
    };
    match std::fs::read_to_string(path) {
        Ok(text) => file::parse(path, &text, problems),
        Err(error) => {
            problems.add_at(source, format!("{path} cannot be read: {}", error.kind()));
            Layer::default()
        }
    }
}
