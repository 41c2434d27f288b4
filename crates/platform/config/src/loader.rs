//! Reads the settings of a service out of the layers.

use std::collections::BTreeSet;

use figment::error::Kind as Fault;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::environment::{CONFIG_FILE, Environment};
use crate::field::{Field, fields};
use crate::layer::{Layer, Raw, Source};
use crate::print::Printed;
use crate::problem::{ConfigErrors, Problem, Problems};

/// Settings that belong together: a plain struct with `#[serde(default)]`, whose field names are keys and whose doc
/// comments are the documentation. Fields are flat: numbers, flags, text, unit enums, lists of these, options of
/// these. A secret is an `Option<`[`Secret`](crate::Secret)`>`.
pub trait Section: Default + Serialize + DeserializeOwned + JsonSchema {
    /// The heading in the reference.
    const TITLE: &'static str;

    /// Adds what the types cannot say, setting by setting.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// All settings of a service.
pub trait Settings: Sized {
    /// Reads every section.
    fn read(reader: &mut Reader<'_>) -> Self;

    /// Adds what is wrong between sections.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }
}

/// Settings without problems.
#[derive(Debug, Clone)]
pub struct Loaded<S> {
    /// The settings.
    pub settings: S,
    /// What to log of them once there is a log.
    pub warnings: Vec<Problem>,
    printed: Vec<Printed>,
}

impl<S> Loaded<S> {
    /// The effective settings as TOML, each with where it comes from; secrets are `***`.
    pub fn print(&self) -> String {
        self.printed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    }
}

const SERVICE_LINK: &str =
    "passed over: Kubernetes sets it for a service of this name; set `enableServiceLinks: false` in the pod's spec";

/// Reads a service's settings, or says everything that is wrong with them.
pub fn load<S: Settings>(environment: &Environment) -> Result<Loaded<S>, ConfigErrors> {
    let mut problems = Problems::default();
    let layers = environment.layers(&mut problems);
    let mut reader = Reader { layers: &layers, problems, known: BTreeSet::new(), printed: Vec::new() };
    let settings = S::read(&mut reader);
    reader.refuse_unknown_keys();
    reader.warn_of_service_links();
    let Reader { mut problems, printed, .. } = reader;
    settings.check(&mut problems);
    let warnings = problems.into_result()?;
    Ok(Loaded { settings, warnings, printed })
}

/// Reads sections and remembers what it was asked for.
pub struct Reader<'a> {
    /// Lowest first; the first one is the file.
    layers: &'a [Layer; 3],
    problems: Problems,
    known: BTreeSet<String>,
    printed: Vec<Printed>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("known", &self.known).finish_non_exhaustive()
    }
}

impl Reader<'_> {
    /// Reads a section. Where it has problems, the loading will fail and what is returned only serves to find more.
    pub fn section<S: Section>(&mut self) -> S {
        let fields = fields::<S>();
        for field in &fields {
            self.known.insert(field.key.clone());
            if field.secret {
                self.known.insert(field.file_key());
            }
        }
        let layers = self.layers.each_ref().map(|layer| self.typed(layer, &fields));
        let section: S = self.extract(&fields, layers);
        section.check(&mut self.problems);
        self.printed.push(Printed::new(&section, fields, &self.problems));
        section
    }

    /// What a layer sets of these fields, in their types.
    fn typed(&mut self, layer: &Layer, fields: &[Field]) -> Dict {
        let mut dict = Dict::new();
        for field in fields {
            let Some((raw, source)) = layer.find(field, &mut self.problems) else { continue };
            match field.kind.read(&raw) {
                Ok(value) => {
                    dict.insert(field.key.clone(), value);
                    self.problems.note_source(&field.key, source);
                }
                Err(must) => self.problems.blame(&field.key, &source, with_value(field, &raw, must)),
            }
        }
        dict
    }

    /// Merges the layers; drops each setting that its own type refuses, until the rest can be read.
    fn extract<S: Section>(&mut self, fields: &[Field], mut layers: [Dict; 3]) -> S {
        loop {
            let merged = layers.iter().cloned().fold(Figment::new(), |figment, dict| figment.merge(Typed(dict)));
            let error = match merged.extract::<S>() {
                Ok(section) => return section,
                Err(error) => error,
            };
            let refused = error.path.first().and_then(|key| fields.iter().find(|field| field.key == *key));
            let Some(field) = refused else {
                match self.stand_in(&error, fields) {
                    Some((key, value)) => layers[0].insert(key, value),
                    None => return S::default(),
                };
                continue;
            };
            let value = merged.find_value(&field.key).ok();
            self.problems.add(&field.key, refusal(field, &error, value.as_ref()));
            if layers.iter_mut().filter_map(|layer| layer.remove(&field.key)).count() == 0 {
                return S::default();
            }
        }
    }

    /// Notes that a setting without a default is missing; answers a value that lets the search for problems go on.
    fn stand_in(&mut self, error: &Error, fields: &[Field]) -> Option<(String, Value)> {
        let Fault::MissingField(key) = &error.kind else {
            self.problems.at(&"configuration", error.kind.to_string());
            return None;
        };
        self.problems.add(key, "is required");
        let field = fields.iter().find(|field| field.key == **key)?;
        let value = Value::serialize(field.default.as_ref()?).ok()?;
        Some((field.key.clone(), value))
    }

    /// Warns, once and by name, of variables that begin with `prefix` and are no settings: of a family that others
    /// define and that is taken in part. `elsewhere` are those that something else reads from the environment.
    pub fn warn_of_unread(&mut self, prefix: &str, elsewhere: &[&str], message: &str) {
        let prefix = prefix.to_ascii_lowercase();
        let [_, dotenv, environment] = self.layers;
        let set = |layer: &Layer| -> Vec<Source> {
            let set = layer.iter().filter(|(key, ..)| key.starts_with(&prefix) && !self.known.contains(*key));
            set.map(|(.., source)| source.clone()).collect()
        };
        let read = |source: &Source| elsewhere.contains(&source.name.as_str());
        let mut unread = set(dotenv);
        unread.extend(set(environment).into_iter().filter(|source| !read(source)));
        self.warn_together(&unread, message);
    }

    fn warn_of_service_links(&mut self) {
        let links: Vec<_> =
            self.known.iter().flat_map(|key| self.layers.iter().filter_map(|layer| layer.link(key))).cloned().collect();
        self.warn_together(&links, SERVICE_LINK);
    }

    fn warn_together(&mut self, sources: &[Source], message: &str) {
        if !sources.is_empty() {
            let places: Vec<_> = sources.iter().map(ToString::to_string).collect();
            self.problems.warn_at(places.join(", "), message);
        }
    }

    fn refuse_unknown_keys(&mut self) {
        for (key, raw, source) in self.layers[0].iter() {
            if !self.known.contains(key) {
                let message = unknown(key, raw, &self.known);
                self.problems.at(&source.origin, message);
            }
        }
    }
}

/// Values of one layer, for figment to merge.
struct Typed(Dict);

impl Provider for Typed {
    fn metadata(&self) -> Metadata {
        Metadata::named("layer")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}

fn with_value(field: &Field, raw: &Raw, must: String) -> String {
    match raw {
        Raw::Text(text) if !field.secret => format!("{must}, not {text:?}"),
        Raw::Toml(value) if !field.secret => format!("{must}, not {value}"),
        _ => must,
    }
}

/// What a type said of a value. Of a secret it is not told, because it may quote it.
fn refusal(field: &Field, error: &Error, value: Option<&Value>) -> String {
    if field.secret {
        return "is not valid".to_owned();
    }
    match (&error.kind, value.and_then(Value::as_str)) {
        (Fault::Message(message), Some(text)) if !message.contains(text) => format!("{message}, not {text:?}"),
        (Fault::Message(message), _) => message.clone(),
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

/// The sections of a service with their fields, read from nothing.
pub(crate) fn sections<S: Settings>() -> Vec<Printed> {
    let mut reader = Reader {
        layers: &Default::default(),
        problems: Problems::default(),
        known: BTreeSet::new(),
        printed: Vec::new(),
    };
    S::read(&mut reader);
    reader.printed
}

/// Where a printed setting comes from.
pub(crate) fn origin(source: Option<&Source>) -> String {
    source.map_or_else(|| "default".to_owned(), ToString::to_string)
}
