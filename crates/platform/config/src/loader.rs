//! Loads the settings of a service from the layers.

use std::collections::BTreeSet;

use figment::error::Kind as FigmentKind;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environment::{CONFIG_FILE, Environment};
use crate::field::{Field, fields};
use crate::layer::{Layer, Raw, Source};
use crate::print::PrintedSection;
use crate::problem::{ConfigErrors, Problem, Problems};

/// Related settings: a plain struct with `#[serde(default)]`. Its field names are the keys and its doc comments the
/// documentation. Fields are flat: numbers, flags, text, unit enums, lists of these, options of these. A secret is an
/// `Option<`[`Secret`](crate::Secret)`>`.
pub trait Section: Default + Serialize + DeserializeOwned + JsonSchema {
    /// Heading in the reference.
    const TITLE: &'static str;

    /// Adds problems that the types cannot express, for single settings.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// All settings of a service.
pub trait Settings: Sized {
    /// Reads all sections.
    fn read(reader: &mut Reader<'_>) -> Self;

    /// Adds problems between sections.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
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
    let mut problems = Problems::default();
    let layers = environment.layers(&mut problems);
    let mut reader = Reader { layers: &layers, problems, known: BTreeSet::new(), printed: Vec::new() };
    let settings = S::read(&mut reader);
    reader.reject_unknown_keys();
    reader.warn_about_service_links();
    let Reader { mut problems, printed, .. } = reader;
    settings.check(&mut problems);
    let warnings = problems.into_result()?;
    Ok(Loaded { settings, warnings, printed })
}

/// Reads sections and records which keys are known.
pub struct Reader<'a> {
    /// In ascending priority; the first one is the file.
    layers: &'a [Layer; 3],
    problems: Problems,
    known: BTreeSet<String>,
    printed: Vec<PrintedSection>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Reader<'_> {
    /// Reads a section. If it has errors, loading fails later, and the returned value only serves to find further
    /// errors.
    pub fn section<S: Section>(&mut self) -> S {
        let fields = fields::<S>();
        for field in &fields {
            self.known.insert(field.key.clone());
            if field.secret {
                self.known.insert(field.file_key());
            }
        }
        let layers = self.layers.each_ref().map(|layer| self.typed_values(layer, &fields));
        let section: S = self.extract(&fields, layers);
        section.check(&mut self.problems);
        self.printed.push(PrintedSection::new(&section, fields, &self.problems));
        section
    }

    /// Returns the values of these fields in a layer, converted to their types.
    fn typed_values(&mut self, layer: &Layer, fields: &[Field]) -> Dict {
        let mut dict = Dict::new();
        for field in fields {
            let Some((raw, source)) = layer.find(field, &mut self.problems) else { continue };
            match field.kind.read(&raw) {
                Ok(value) => {
                    dict.insert(field.key.clone(), value);
                    self.problems.set_source(&field.key, source);
                }
                Err(must) => self.problems.add_for_key(&field.key, &source, with_found_value(field, &raw, must)),
            }
        }
        dict
    }

    /// Merges the layers. Removes each setting that its own type rejects until the rest can be deserialized.
    fn extract<S: Section>(&mut self, fields: &[Field], mut layers: [Dict; 3]) -> S {
        loop {
            let merged = layers.iter().cloned().fold(Figment::new(), |figment, dict| figment.merge(TypedLayer(dict)));
            let error = match merged.extract::<S>() {
                Ok(section) => return section,
                Err(error) => error,
            };
            let rejected = error.path.first().and_then(|key| fields.iter().find(|field| field.key == *key));
            let Some(field) = rejected else {
                match self.placeholder(&error, fields) {
                    Some((key, value)) => layers[0].insert(key, value),
                    None => return S::default(),
                };
                continue;
            };
            let value = merged.find_value(&field.key).ok();
            self.problems.add(&field.key, rejection(field, &error, value.as_ref()));
            if layers.iter_mut().filter_map(|layer| layer.remove(&field.key)).count() == 0 {
                return S::default();
            }
        }
    }

    /// Reports a missing setting without a default. Returns a value with which the search for errors can continue.
    fn placeholder(&mut self, error: &Error, fields: &[Field]) -> Option<(String, Value)> {
        let FigmentKind::MissingField(key) = &error.kind else {
            self.problems.add_at(&"configuration", error.kind.to_string());
            return None;
        };
        self.problems.add(key, "is required");
        let field = fields.iter().find(|field| field.key == **key)?;
        let value = Value::serialize(field.default.as_ref()?).ok()?;
        Some((field.key.clone(), value))
    }

    /// Adds one warning with the names of all variables that start with `prefix` and are not settings, for a family of
    /// variables that is only partly supported. `read_elsewhere` are those that other code reads from the environment.
    pub fn warn_about_unread(&mut self, prefix: &str, read_elsewhere: &[&str], message: &str) {
        let prefix = prefix.to_ascii_lowercase();
        let [_, dotenv, environment] = self.layers;
        let set = |layer: &Layer| -> Vec<Source> {
            let set = layer.iter().filter(|(key, ..)| key.starts_with(&prefix) && !self.known.contains(*key));
            set.map(|(.., source)| source.clone()).collect()
        };
        let read = |source: &Source| read_elsewhere.contains(&source.name.as_str());
        let mut unread = set(dotenv);
        unread.extend(set(environment).into_iter().filter(|source| !read(source)));
        self.warn_once(&unread, message);
    }

    fn warn_about_service_links(&mut self) {
        let links: Vec<_> = self
            .known
            .iter()
            .flat_map(|key| self.layers.iter().filter_map(|layer| layer.service_link(key)))
            .cloned()
            .collect();
        self.warn_once(&links, SERVICE_LINK);
    }

    fn warn_once(&mut self, sources: &[Source], message: &str) {
        if !sources.is_empty() {
            let locations: Vec<_> = sources.iter().map(ToString::to_string).collect();
            self.problems.add_warning(locations.join(", "), message);
        }
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

/// Values of one layer, as a figment provider.
struct TypedLayer(Dict);

impl Provider for TypedLayer {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn with_found_value(field: &Field, raw: &Raw, must: String) -> String {
    match raw {
        Raw::Text(text) if !field.secret => format!("{must}, not {text:?}"),
        Raw::Toml(value) if !field.secret => format!("{must}, not {value}"),
        _ => must,
    }
}

/// Returns the error of a type. For a secret it is replaced, because it may quote the value.
fn rejection(field: &Field, error: &Error, value: Option<&Value>) -> String {
    if field.secret {
        return "is not valid".to_owned();
    }
    match (&error.kind, value.and_then(Value::as_str)) {
        (FigmentKind::Message(message), Some(text)) if !message.contains(text) => format!("{message}, not {text:?}"),
        (FigmentKind::Message(message), _) => message.clone(),
        (other, _) => other.to_string(),
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
    let mut reader = Reader {
        layers: &Default::default(),
        problems: Problems::default(),
        known: BTreeSet::new(),
        printed: Vec::new(),
    };
    S::read(&mut reader);
    reader.printed
}

/// Returns the origin of a printed setting.
pub(crate) fn origin(source: Option<&Source>) -> String {
    source.map_or_else(|| "default".to_owned(), ToString::to_string)
}
