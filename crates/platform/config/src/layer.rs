//! One layer of raw settings, before they are converted to their types.

use std::collections::BTreeMap;

use crate::field::Field;
use crate::problem::Problems;
use crate::raw::{Raw, Source};

/// Maximum size of a file that contains a secret, in bytes.
const MAX_SECRET_FILE: u64 = 64 * 1024;

/// Settings by key, such as `server_port`.
#[derive(Default, Clone)]
pub(crate) struct Layer {
    entries: BTreeMap<String, (Raw, Source)>,
    /// Variables of Kubernetes service links that have the name of a setting.
    service_links: BTreeMap<String, Source>,
}

impl Layer {
    pub(crate) fn insert(&mut self, key: String, raw: Raw, source: Source) {
        self.entries.insert(key, (raw, source));
    }

    /// Records a variable of a service link, which is not a value.
    pub(crate) fn insert_service_link(&mut self, key: String, source: Source) {
        self.service_links.insert(key, source);
    }

    /// Returns the service link with the name of this setting.
    pub(crate) fn service_link(&self, key: &str) -> Option<&Source> {
        self.service_links.get(key)
    }

    pub(crate) fn get(&self, key: &str) -> Option<&(Raw, Source)> {
        self.entries.get(key)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Raw, &Source)> {
        self.entries.iter().map(|(key, (raw, source))| (key.as_str(), raw, source))
    }

    /// Returns the value of the field in this layer: by its name in the scope, else by its name.
    pub(crate) fn find(&self, field: &Field, scope: &str, problems: &mut Problems) -> Option<(Raw, Source)> {
        let scoped = if scope.is_empty() { None } else { self.find_in(scope, field, problems) };
        scoped.or_else(|| self.find_in("", field, problems))
    }

    /// Returns the value by the field's name after `scope` or, for a secret, from the file that `<NAME>_FILE` names.
    fn find_in(&self, scope: &str, field: &Field, problems: &mut Problems) -> Option<(Raw, Source)> {
        let direct = self.get(&format!("{scope}{}", field.key)).cloned();
        if !field.secret {
            return direct;
        }
        let Some((raw, source)) = self.get(&format!("{scope}{}", field.file_key())) else { return direct };
        if let Some((_, direct)) = direct {
            problems.add_for_key(
                &field.key,
                source,
                format!("is set together with {}; set one of them", direct.name.to_ascii_uppercase()),
            );
            return None;
        }
        match read_secret(raw) {
            Ok(text) => Some((Raw::Text(text), source.clone())),
            Err(message) => {
                problems.add_for_key(&field.key, source, message);
                None
            }
        }
    }
}

fn read_secret(path: &Raw) -> Result<String, String> {
    let path = match path {
        Raw::Text(path) | Raw::Toml(toml::Value::String(path)) => path,
        Raw::NotUnicode | Raw::Toml(_) => return Err("must be the path of a file".to_owned()),
    };
    // Not quoted: a user may have put the secret itself here by mistake.
    let problem = |error: std::io::Error| format!("the file cannot be read: {}", error.kind());
    let size = std::fs::metadata(path).map_err(problem)?.len();
    if size > MAX_SECRET_FILE {
        return Err(format!("the file is larger than {MAX_SECRET_FILE} bytes"));
    }
    let text = std::fs::read_to_string(path).map_err(problem)?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() { Err("the file is empty".to_owned()) } else { Ok(secret.to_owned()) }
}
