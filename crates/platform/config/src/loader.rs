//! Loads the settings of a process from the layers.

use std::collections::BTreeSet;

use crate::environment::{CONFIG_FILE, Environment};
use crate::layer::Layer;
use crate::print::PrintedSection;
use crate::problem::{ConfigErrors, Problem, Problems};
use crate::raw::Raw;
use crate::reader::Reader;

/// All settings of a service.
pub trait Settings: Sized {
    /// Reads all sections.
    fn read(reader: &mut Reader<'_>) -> Self;

    /// Adds problems between sections.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// No settings.
impl Settings for () {
    fn read(_: &mut Reader<'_>) -> Self {}
}

/// Valid settings.
#[derive(Debug, Clone)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// Warnings to log after logging is initialized.
    pub warnings: Vec<Problem>,
    printed: Vec<PrintedSection>,
}

impl<S> Loaded<S> {
    /// Returns the effective settings as TOML, each with its origin; secrets are `***`.
    pub fn print(&self) -> String {
        self.printed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

const SERVICE_LINK: &str =
    "ignored: Kubernetes sets it for a service of this name; set `enableServiceLinks: false` in the pod's spec";

/// Loads a service's settings, or returns all errors.
pub fn load<S: Settings>(environment: &Environment) -> Result<Loaded<S>, ConfigErrors> {
    let mut loader = Loader::new(environment);
    let settings = loader.read(None);
    loader.finish(settings)
}

/// Loads the settings of several services in one process.
///
/// A service's name is the scope of its settings: in each layer, `NOTES_SERVER_PORT` has priority over `SERVER_PORT` for
/// the service `notes`, and in the file `notes_server_port` over `server_port`.
pub struct Loader {
    layers: [Layer; 3],
    problems: Problems,
    known: BTreeSet<String>,
    printed: Vec<PrintedSection>,
}

impl std::fmt::Debug for Loader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loader").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Loader {
    /// Creates a loader of settings in `environment`.
    pub fn new(environment: &Environment) -> Self {
        let mut problems = Problems::default();
        let layers = environment.layers(&mut problems);
        Self { layers, problems, known: BTreeSet::new(), printed: Vec::new() }
    }

    /// Reads the settings of one service. If they have errors, [`finish`](Self::finish) returns them, and the returned
    /// value must not be used.
    pub fn read<S: Settings>(&mut self, scope: Option<&str>) -> S {
        let mut reader = Reader::new(&self.layers, scope);
        let settings = S::read(&mut reader);
        settings.check(&mut reader.problems);
        self.problems.absorb(&reader.scope, reader.problems);
        self.known.extend(reader.known);
        self.printed.extend(reader.printed);
        settings
    }

    /// Makes the keys of another service known, without reading its settings.
    pub fn know<S: Settings>(&mut self, scope: Option<&str>) {
        let mut reader = Reader::new(&self.layers, scope);
        S::read(&mut reader);
        self.known.extend(reader.known);
    }

    /// Adds problems between the settings of several services.
    pub fn check(&mut self, check: impl FnOnce(&mut Problems)) {
        check(&mut self.problems);
    }

    /// Returns the settings of all services, as a tuple or a list, or all errors. Keys of the file that no service knows
    /// are errors.
    pub fn finish<S>(mut self, settings: S) -> Result<Loaded<S>, ConfigErrors> {
        self.reject_unknown_keys();
        self.warn_about_service_links();
        let warnings = self.problems.into_result()?;
        Ok(Loaded { settings, warnings, printed: self.printed })
    }

    fn warn_about_service_links(&mut self) {
        let of = |key: &String| self.layers.iter().filter_map(|layer| layer.service_link(key)).collect::<Vec<_>>();
        let links: Vec<_> = self.known.iter().flat_map(of).cloned().collect();
        self.problems.warn_once(&links, SERVICE_LINK);
    }

    fn reject_unknown_keys(&mut self) {
        for (key, raw, source) in self.layers[0].iter() {
            if !self.known.contains(key) {
                let message = unknown(key, raw, &self.known);
                self.problems.add_at(&source.origin, message);
            }
        }
    }
}

fn unknown(key: &str, raw: &Raw, known: &BTreeSet<String>) -> String {
    if matches!(raw, Raw::Toml(toml::Value::Table(_))) {
        return format!(
            "{key:?} is a table; settings are flat, such as {:?}",
            known.first().map_or("", String::as_str)
        );
    }
    if key == CONFIG_FILE {
        return format!("{key:?} can only be set by a variable");
    }
    let near = |name: &&String| strsim::jaro_winkler(&key.to_lowercase(), name);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b))).filter(|name| near(name) > 0.85);
    let hint = nearest.map(|name| format!(", did you mean {name:?}")).unwrap_or_default();
    format!("unknown key {key:?}{hint}")
}

/// Returns the sections of a service with their fields, without values.
pub(crate) fn sections<S: Settings>() -> Vec<PrintedSection> {
    let layers = Default::default();
    let mut reader = Reader::new(&layers, None);
    S::read(&mut reader);
    reader.printed
}
