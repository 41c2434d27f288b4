//! Reads sections from the layers.

use std::collections::{BTreeMap, BTreeSet};

use figment::error::Kind as FigmentKind;
use figment::value::{Dict, Map, Value};
use figment::{Error, Figment, Metadata, Profile, Provider};

use crate::field::{Field, fields};
use crate::layer::Layer;
use crate::print::PrintedSection;
use crate::problem::Problems;
use crate::raw::{Raw, Source};
use crate::section::Section;

/// Reads sections and records which keys are known.
pub struct Reader<'a> {
    /// In ascending priority; the first one is the file.
    layers: &'a [Layer; 3],
    /// Prefix of the keys that have priority, such as `notes_`; may be empty.
    pub(crate) scope: String,
    pub(crate) problems: Problems,
    pub(crate) known: BTreeSet<String>,
    pub(crate) printed: Vec<PrintedSection>,
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("known", &self.known).finish_non_exhaustive()
    }
}

impl<'a> Reader<'a> {
    pub(crate) fn new(layers: &'a [Layer; 3], scope: Option<&str>) -> Self {
        let scope = scope.map(|name| format!("{}_", name.to_ascii_lowercase().replace('-', "_"))).unwrap_or_default();
        Self { layers, scope, problems: Problems::default(), known: BTreeSet::new(), printed: Vec::new() }
    }
}

impl Reader<'_> {
    /// Reads a section. If it has errors, loading fails later, and the returned value only serves to find further
    /// errors.
    pub fn section<S: Section>(&mut self) -> S {
        self.read(S::TITLE.to_owned(), "", &[])
    }

    /// Reads a section some of whose numbers have other defaults, by the names of the fields.
    pub fn section_with<S: Section>(&mut self, defaults: &[(&str, u64)]) -> S {
        self.read(S::TITLE.to_owned(), "", defaults)
    }

    /// Reads a section of which there are several: `name` is the prefix of its keys, such as `catalogue` in
    /// `catalogue_grpc_url`.
    pub fn named_section<S: Section>(&mut self, name: &str) -> S {
        self.read(format!("{}: {name}", S::TITLE), &format!("{name}_"), &[])
    }

    /// Reads such a section if it differs from its defaults. Otherwise it is not checked, so it may have required keys.
    pub fn optional_section<S: Section>(&mut self, name: &str) -> Option<S> {
        let (section, is_set) = self.read_if(false, format!("{}: {name}", S::TITLE), &format!("{name}_"), &[]);
        is_set.then_some(section)
    }

    fn read<S: Section>(&mut self, title: String, prefix: &str, defaults: &[(&str, u64)]) -> S {
        self.read_if(true, title, prefix, defaults).0
    }

    /// Reads a section, and checks it if it is required or differs from its defaults. Returns whether it was checked.
    fn read_if<S: Section>(
        &mut self,
        is_required: bool,
        title: String,
        prefix: &str,
        defaults: &[(&str, u64)],
    ) -> (S, bool) {
        let mut fields = fields::<S>(prefix);
        let mut layers = self.layers(&fields);
        for field in &mut fields {
            let Some((name, default)) = defaults.iter().find(|(name, _)| *name == field.name) else { continue };
            field.default = Some((*default).into());
            layers[0].entry((*name).to_owned()).or_insert_with(|| (*default).into());
        }
        let section: S = self.extract(&fields, layers);
        let is_checked = is_required || serde_json::to_value(&section).ok() != serde_json::to_value(S::default()).ok();
        if is_checked {
            self.problems.with_prefix(prefix, |problems| section.check(problems));
        }
        self.printed.push(PrintedSection::new(title, &self.scope, &section, fields, &self.problems));
        (section, is_checked)
    }

    /// Reads optional texts whose keys are only known when the program runs, such as one for each event of a service:
    /// pairs of a key and its documentation. Returns those that are set, by key.
    pub fn texts(
        &mut self,
        title: &'static str,
        keys: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, String> {
        let mut fields: Vec<_> = keys.into_iter().map(|(key, description)| Field::text(key, description)).collect();
        fields.sort_by(|a, b| a.key.cmp(&b.key));
        let merged = self.layers(&fields).into_iter().flatten();
        let text = |(key, value): (String, Value)| Some((key, value.into_string()?));
        let texts: BTreeMap<_, _> = merged.filter_map(text).collect();
        self.printed.push(PrintedSection::new(title.to_owned(), &self.scope, &texts, fields, &self.problems));
        texts
    }

    /// Returns the problems, for checks between the sections of one crate.
    pub fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    /// Returns the values of these fields in each layer.
    fn layers(&mut self, fields: &[Field]) -> [Dict; 3] {
        for field in fields {
            let keys = std::iter::once(field.key.clone()).chain(field.secret.then(|| field.file_key()));
            for key in keys {
                self.known.extend([format!("{}{key}", self.scope), key]);
            }
        }
        self.layers.each_ref().map(|layer| self.typed_values(layer, fields))
    }

    /// Returns the values of these fields in a layer, converted to their types.
    fn typed_values(&mut self, layer: &Layer, fields: &[Field]) -> Dict {
        let mut dict = Dict::new();
        for field in fields {
            let Some((raw, source)) = layer.find(field, &self.scope, &mut self.problems) else { continue };
            match field.kind.read(&raw) {
                Ok(value) => {
                    dict.insert(field.name.clone(), value);
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
            let rejected = error.path.first().and_then(|key| fields.iter().find(|field| field.name == *key));
            let Some(field) = rejected else {
                match self.placeholder(&error, fields) {
                    Some((key, value)) => layers[0].insert(key, value),
                    None => return S::default(),
                };
                continue;
            };
            let value = merged.find_value(&field.name).ok();
            self.problems.add(&field.key, rejection(field, &error, value.as_ref()));
            if layers.iter_mut().filter_map(|layer| layer.remove(&field.name)).count() == 0 {
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
        let field = fields.iter().find(|field| field.name == **key)?;
        self.problems.add(&field.key, "is required");
        let value = Value::serialize(field.default.as_ref()?).ok()?;
        Some((field.name.clone(), value))
    }

    /// Adds one warning with the names of all variables that start with `prefix` and are not settings, for a family of
    /// variables that is only partly supported. `read_elsewhere` are those that other code reads from the environment.
    pub fn warn_about_unread(&mut self, prefix: &str, read_elsewhere: &[&str], message: &str) {
        let prefix = prefix.to_ascii_lowercase();
        let [_, dotenv, environment] = self.layers;
        let is_of_family = |key: &str| {
            let name = key.strip_prefix(&self.scope).unwrap_or(key);
            (key.starts_with(&prefix) || name.starts_with(&prefix)) && !self.known.contains(key)
        };
        let set = |layer: &Layer| -> Vec<Source> {
            let set = layer.iter().filter(|(key, ..)| is_of_family(key));
            set.map(|(.., source)| source.clone()).collect()
        };
        let read = |source: &Source| read_elsewhere.contains(&source.name.as_str());
        let mut unread = set(dotenv);
        unread.extend(set(environment).into_iter().filter(|source| !read(source)));
        self.problems.warn_once(&unread, message);
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
