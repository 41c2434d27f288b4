//! Settings of several services in one process, and keys that are only known when the program runs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use kennel_config::{
    ConfigErrors, Environment, Loaded, Loader, Problems, Reader, Secret, Section, Settings, reference,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Web {
    server_port: u16,
    dsn: Option<Secret>,
}

impl Default for Web {
    fn default() -> Self {
        Self { server_port: 8080, dsn: None }
    }
}

impl Section for Web {
    const TITLE: &'static str = "Server";

    fn check(&self, problems: &mut Problems) {
        problems.check_range("server_port", self.server_port, ..=9_000);
    }
}

struct Notes {
    web: Web,
    topics: BTreeMap<String, String>,
}

impl Settings for Notes {
    fn read(reader: &mut Reader<'_>) -> Self {
        let topic = |event| (format!("topic_{event}"), format!("Topic of the event {event}."));
        Self { web: reader.section(), topics: reader.texts("Topics", ["created", "deleted"].map(topic)) }
    }
}

struct Dogs {
    web: Web,
}

impl Settings for Dogs {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { web: reader.section() }
    }
}

/// A service with two servers of the same kind.
struct Mirror {
    from: Web,
    to: Web,
}

impl Settings for Mirror {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { from: reader.named_section("from"), to: reader.named_section("to") }
    }
}

/// A service that uses another server if there is one.
struct Guest {
    host: Option<Web>,
}

impl Settings for Guest {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { host: reader.optional_section("host") }
    }
}

#[test]
fn an_optional_section_is_read_and_checked_if_it_differs_from_its_defaults() {
    let dir = tempfile::tempdir().unwrap();
    let load = |text: &str, variables: &[(&str, &str)]| kennel_config::load::<Guest>(&with_file(&dir, text, variables));
    let host = |variables: &[(&str, &str)]| load("", variables).unwrap().settings.host;
    assert_eq!(host(&[("HOST_DSN", "hunter2")]).unwrap().server_port, 8080);
    assert!(host(&[("HOST_SERVER_PORT", "8080")]).is_none());
    assert!(load("", &[("HOST_SERVER_PORT", "9001")]).is_err());
    let printed = load("", &[]).unwrap().print();
    assert!(load(&printed, &[]).unwrap().settings.host.is_none());
    assert!(reference::<Guest>().contains("HOST_SERVER_PORT"));
}

#[test]
fn a_section_with_a_name_has_it_as_prefix_of_its_keys() {
    let dir = tempfile::tempdir().unwrap();
    let environment = with_file(&dir, "from_server_port = 1\n", &[("TO_SERVER_PORT", "2"), ("TO_DSN", "hunter2")]);
    let loaded = kennel_config::load::<Mirror>(&environment).unwrap();
    let Mirror { from, to } = &loaded.settings;
    assert_eq!((from.server_port, to.server_port), (1, 2));
    assert_eq!((from.dsn.is_some(), to.dsn.as_ref().map(Secret::expose)), (false, Some("hunter2")));
    let printed = loaded.print();
    for line in ["# Server: from", "from_server_port = 1 # ", "to_server_port = 2 # ", "to_dsn = \"***\" # "] {
        assert!(printed.contains(line), "{line} in {printed}");
    }
    assert!(reference::<Mirror>().contains("| `TO_DSN`, `TO_DSN_FILE` |"));

    let wrong = [("FROM_SERVER_PORT", "9999"), ("TO_SERVER_PORT", "x")];
    let errors = kennel_config::load::<Mirror>(&Environment::from_pairs(wrong)).err().unwrap().to_string();
    assert!(errors.contains("FROM_SERVER_PORT (environment): must be at most 9000"), "{errors}");
    assert!(errors.contains("TO_SERVER_PORT (environment): must be a whole number"), "{errors}");
    assert!(kennel_config::load::<Mirror>(&with_file(&dir, "server_port = 1\n", &[])).is_err(), "an unknown key");
}

fn both(environment: &Environment) -> Result<Loaded<(Notes, Dogs)>, ConfigErrors> {
    let mut loader = Loader::new(environment);
    let notes = loader.read(Some("notes"));
    let dogs = loader.read(Some("dogs"));
    loader.finish((notes, dogs))
}

fn ports(environment: &Environment) -> (u16, u16) {
    let (notes, dogs) = both(environment).unwrap().settings;
    (notes.web.server_port, dogs.web.server_port)
}

/// Writes `kennel.toml` and returns its path.
fn file(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("kennel.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn with_file(dir: &tempfile::TempDir, text: &str, pairs: &[(&str, &str)]) -> Environment {
    let file = ("CONFIG_FILE".to_owned(), file(dir, text).display().to_string());
    let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
    Environment::from_pairs(pairs.chain([file])).dotenv_file(dir.path().join(".env"))
}

#[test]
fn a_name_in_the_scope_wins_within_its_layer() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(ports(&with_file(&dir, "", &[])), (8080, 8080));
    assert_eq!(ports(&with_file(&dir, "server_port = 1", &[])), (1, 1));
    let text = "server_port = 1\nnotes_server_port = 2";
    assert_eq!(ports(&with_file(&dir, text, &[])), (2, 1));
    std::fs::write(dir.path().join(".env"), "DOGS_SERVER_PORT=3").unwrap();
    assert_eq!(ports(&with_file(&dir, text, &[])), (2, 3));
    std::fs::write(dir.path().join(".env"), "SERVER_PORT=4\nDOGS_SERVER_PORT=3").unwrap();
    assert_eq!(ports(&with_file(&dir, text, &[])), (4, 3), "a higher layer wins without the scope");
    assert_eq!(ports(&with_file(&dir, text, &[("NOTES_SERVER_PORT", "5")])), (5, 3));
    let all = [("NOTES_SERVER_PORT", "5"), ("SERVER_PORT", "6")];
    assert_eq!(ports(&with_file(&dir, text, &all)), (5, 6));
}

#[test]
fn secrets_in_a_scope_come_from_files_too() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "of notes").unwrap();
    let (file, dsn) = (("NOTES_DSN_FILE", secret.to_str().unwrap()), ("DSN", "of all"));
    let (notes, dogs) = both(&Environment::from_pairs([file, dsn])).unwrap().settings;
    assert_eq!((notes.web.dsn.unwrap().expose(), dogs.web.dsn.unwrap().expose()), ("of notes", "of all"));
    let errors = both(&Environment::from_pairs([file, ("NOTES_DSN", "x")])).err().unwrap().to_string();
    assert_eq!(errors, "NOTES_DSN_FILE (environment): is set together with NOTES_DSN; set one of them");
}

#[test]
fn problems_name_the_variable_of_the_value_once() {
    let errors = |pairs: &[(&'static str, &'static str)]| {
        both(&Environment::from_pairs(pairs.iter().copied())).err().unwrap().to_string()
    };
    assert_eq!(errors(&[("SERVER_PORT", "9001")]), "SERVER_PORT (environment): must be at most 9000");
    let each = errors(&[("NOTES_SERVER_PORT", "9001"), ("DOGS_SERVER_PORT", "x")]);
    assert_eq!(
        each,
        "NOTES_SERVER_PORT (environment): must be at most 9000\n\
         DOGS_SERVER_PORT (environment): must be a whole number in 0..=65535, not \"x\""
    );
}

#[test]
fn a_key_of_any_service_is_known() {
    let dir = tempfile::tempdir().unwrap();
    let known = "topic_created = 'a'\nnotes_topic_deleted = 'b'\ndogs_server_port = 1\nserver_port = 2";
    let (notes, dogs) = both(&with_file(&dir, known, &[])).unwrap().settings;
    let set = [("topic_created", "a"), ("topic_deleted", "b")];
    assert_eq!(notes.topics, BTreeMap::from(set.map(|(key, text)| (key.to_owned(), text.to_owned()))));
    assert_eq!((notes.web.server_port, dogs.web.server_port), (2, 1));
    let errors = both(&with_file(&dir, "cats_server_port = 1\nnotes_topic_eaten = 'x'", &[])).err().unwrap();
    let errors: Vec<_> = errors.0.into_iter().map(|problem| problem.message).collect();
    assert_eq!(errors.len(), 2, "{errors:?}");
    assert!(errors.iter().all(|error| error.starts_with("unknown key ")), "{errors:?}");
}

#[test]
fn a_printed_configuration_can_be_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [("NOTES_SERVER_PORT", "1"), ("TOPIC_CREATED", "a")];
    let printed = both(&Environment::from_pairs(pairs)).unwrap().print();
    assert_eq!(
        printed,
        "# Server, notes\n\
         # notes_dsn is not set\n\
         notes_server_port = 1 # NOTES_SERVER_PORT (environment)\n\
         \n\
         # Topics, notes\n\
         notes_topic_created = \"a\" # TOPIC_CREATED (environment)\n\
         # notes_topic_deleted is not set\n\
         \n\
         # Server, dogs\n\
         # dogs_dsn is not set\n\
         dogs_server_port = 8080 # default\n"
    );
    assert_eq!(ports(&with_file(&dir, &printed, &[])), (1, 8080));
}

#[test]
fn a_service_link_with_the_name_in_a_scope_is_ignored() {
    let link = [("NOTES_SERVER_PORT", "tcp://10.0.0.1:80")];
    let loaded = both(&Environment::from_pairs(link)).unwrap();
    assert_eq!(loaded.settings.0.web.server_port, 8080);
    let [warning] = &loaded.warnings[..] else { panic!("{:?}", loaded.warnings) };
    assert!(warning.location.starts_with("NOTES_SERVER_PORT "), "{warning}");
}

#[test]
fn keys_that_are_known_at_run_time_are_in_the_reference() {
    let text = reference::<Notes>();
    let row = "| `TOPIC_CREATED` | text | none | Topic of the event created. |";
    assert!(text.lines().any(|line| line == row), "{text}");
    assert!(text.contains("\n## Topics\n"), "{text}");
}
