//! Names of a service in a process that runs several.

use std::borrow::Cow;
use std::collections::HashMap;

use prometheus::Registry;

/// Whether a service shares its process. Alone, its components and checks have plain names such as `http`; with others,
/// they have the service's name as prefix: `notes.http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scope(pub(crate) Option<&'static str>);

impl Scope {
    /// The name in the process. A name that has the prefix already, such as a consumer group, is unchanged.
    pub(crate) fn name(self, name: &'static str) -> Cow<'static, str> {
        match self.0 {
            Some(service) if name.strip_prefix(service).is_none_or(|rest| !rest.starts_with('.')) => {
                format!("{service}.{name}").into()
            }
            _ => name.into(),
        }
    }

    /// The key of a setting of the service. Names of variables have no hyphen.
    pub(crate) fn key(self, key: &str) -> String {
        self.0.map_or_else(|| key.to_owned(), |service| format!("{}_{key}", service.replace('-', "_")))
    }

    /// As [`Scope::name`], for names that live as long as the process: there is a fixed number of them.
    pub(crate) fn component(self, name: &'static str) -> &'static str {
        match self.name(name) {
            Cow::Borrowed(name) => name,
            Cow::Owned(name) => name.leak(),
        }
    }

    /// The registry of the service's metrics: that of the process, or another one that adds the label `app`. The metrics
    /// of gRPC have a label `service` already.
    pub(crate) fn registry(self, process: &Registry) -> Result<Registry, prometheus::Error> {
        let Some(service) = self.0 else { return Ok(process.clone()) };
        let label = HashMap::from([("app".to_owned(), service.to_owned())]);
        Registry::new_custom(None, Some(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_prefix_once() {
        assert_eq!(Scope(None).name("http"), "http");
        assert_eq!(Scope(Some("notes")).name("http"), "notes.http");
        assert_eq!(Scope(Some("notes")).name("notes.indexer"), "notes.indexer");
        assert_eq!(Scope(Some("notes")).name("notes-indexer"), "notes.notes-indexer");
        assert_eq!(Scope(Some("gif-files")).name("gif-files.media"), "gif-files.media");
    }

    #[test]
    fn keys_have_the_prefix_of_variables() {
        assert_eq!(Scope(None).key("server_port"), "server_port");
        assert_eq!(Scope(Some("gif-files")).key("server_port"), "gif_files_server_port");
    }
}
