//! Layers, types and error messages of the loader.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::num::NonZeroU32;
use std::path::PathBuf;

use kennel_config::{
    ByteSize, Environment, HumanDuration, Loaded, Problems, Reader, Secret, Section, Settings, load, reference,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use url::Url;

const PASSWORD: &str = "hunter2-hunter2";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum LogFormat {
    /// One object per line.
    Json,
    Pretty,
}

/// The server.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Web {
    /// Port of the HTTP server;
    /// `0` picks one | any.
    server_port: u16,
    /// How long a request may take.
    request_timeout: HumanDuration,
    body_limit: ByteSize,
    compression: bool,
    cors_origins: Vec<String>,
    log_format: LogFormat,
    sampling: f64,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            server_port: 8080,
            request_timeout: HumanDuration::from_secs(30),
            body_limit: ByteSize::mib(1),
            compression: true,
            cors_origins: Vec::new(),
            log_format: LogFormat::Json,
            sampling: 1.0,
        }
    }
}

impl Section for Web {
    const TITLE: &'static str = "Server";

    fn check(&self, problems: &mut Problems) {
        if self.request_timeout.get().is_zero() {
            problems.add("request_timeout", "must be more than zero");
        }
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
struct Store {
    /// The URL of PostgreSQL.
    postgres_dsn: Option<Secret>,
    redis_password: Option<Secret>,
    postgres_database: Option<String>,
    pool_size: Option<NonZeroU32>,
    dog_api_base_url: Option<Url>,
}

impl Section for Store {
    const TITLE: &'static str = "Store";
}

#[derive(Debug, Clone)]
struct Everything {
    server: Web,
    store: Store,
}

impl Settings for Everything {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { server: reader.section(), store: reader.section() }
    }

    fn check(&self, problems: &mut Problems) {
        if self.server.server_port == 6379 && self.store.redis_password.is_some() {
            problems.add("server_port", "must not be that of Redis");
        }
    }
}

/// A directory with configuration files.
struct ConfigDir(TempDir);

impl ConfigDir {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Loads from the variables, and from `kennel.toml` and `.env` if they exist.
    fn load(&self, pairs: &[(&str, &str)]) -> Result<Loaded<Everything>, Vec<String>> {
        let file = self.0.path().join("kennel.toml");
        let named = file.exists().then(|| ("CONFIG_FILE".to_owned(), file.display().to_string()));
        let pairs = pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        let environment = Environment::from_pairs(pairs.chain(named)).dotenv_file(self.0.path().join(".env"));
        load(&environment).map_err(|errors| {
            let folder = format!("{}/", self.0.path().display());
            errors.to_string().replace(&folder, "").lines().map(str::to_owned).collect()
        })
    }
}

fn from_variables(pairs: &[(&str, &str)]) -> Result<Everything, Vec<String>> {
    ConfigDir::new().load(pairs).map(|loaded| loaded.settings)
}

#[test]
fn each_layer_wins_over_the_lower() {
    let dir = ConfigDir::new();
    let port = |pairs: &[(&str, &str)]| dir.load(pairs).unwrap().settings.server.server_port;
    assert_eq!(port(&[]), 8080);
    dir.write("kennel.toml", "server_port = 1");
    assert_eq!(port(&[]), 1);
    dir.write(".env", "SERVER_PORT=2");
    assert_eq!(port(&[]), 2);
    assert_eq!(port(&[("SERVER_PORT", "3")]), 3);
    assert_eq!(port(&[("SERVER_PORT", "")]), 2, "empty is unset");
}

#[test]
fn service_links_of_kubernetes_are_ignored_with_one_warning() {
    let dir = ConfigDir::new();
    dir.write(".env", "SERVER_PORT=2");
    for value in ["tcp://10.0.0.1:9090", "udp://10.0.0.1:53", "tcp://[fd00::1]:9090", "sctp://10.0.0.1:1"] {
        let loaded = dir.load(&[("SERVER_PORT", value), ("OTHER_PORT", value), ("LOG_FORMAT", "json")]).unwrap();
        assert_eq!(loaded.settings.server.server_port, 2, "the lower layers count");
        let warnings: Vec<_> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        assert!(warnings[0].starts_with("SERVER_PORT (environment): ignored: "), "{warnings:?}");
        assert!(warnings[0].contains("`enableServiceLinks: false`"), "{warnings:?}");
    }
    for wrong in ["tcp://10.0.0.1", "tcp://:9090", "http://10.0.0.1:9090", "tcp://10.0.0.1:port", "10.0.0.1:9090"] {
        let problems = dir.load(&[("SERVER_PORT", wrong)]).unwrap_err();
        assert_eq!(
            problems,
            [format!("SERVER_PORT (environment): must be a whole number in 0..=65535, not {wrong:?}")]
        );
    }
    dir.write(".env", "SERVER_PORT=tcp://10.0.0.1:9090");
    assert!(dir.load(&[]).is_err(), "only users write this file");
}

/// Settings that are some of a family of variables.
struct SomeOfMany;

impl Settings for SomeOfMany {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.section::<Store>();
        reader.warn_about_unread("REDIS_", &["REDIS_MODE"], "not supported");
        Self
    }
}

#[test]
fn unknown_variables_of_a_family_are_named_in_one_warning() {
    let known = [("REDIS_PASSWORD", PASSWORD), ("REDIS_MODE", "x"), ("UNRELATED", "x")];
    let warned = |pairs: &[(&'static str, &'static str)]| -> Vec<String> {
        let environment = Environment::from_pairs(known.iter().chain(pairs).copied());
        load::<SomeOfMany>(&environment).unwrap().warnings.iter().map(ToString::to_string).collect()
    };
    assert_eq!(warned(&[("REDIS_TLS", "")]), Vec::<String>::new());
    assert_eq!(
        warned(&[("REDIS_TLS", "on"), ("REDIS_ACL", "x")]),
        ["REDIS_ACL (environment), REDIS_TLS (environment): not supported"]
    );
}

#[test]
fn dotenv_may_name_the_file() {
    let dir = ConfigDir::new();
    let file = dir.write("other.toml", "server_port = 4");
    dir.write(".env", format!("CONFIG_FILE={}", file.display()));
    assert_eq!(dir.load(&[]).unwrap().settings.server.server_port, 4);
}

#[test]
fn reads_every_type_from_variables() {
    let read = from_variables(&[
        ("SERVER_PORT", " 0 "),
        ("REQUEST_TIMEOUT", "250ms"),
        ("BODY_LIMIT", "10 MiB"),
        ("COMPRESSION", "Off"),
        ("CORS_ORIGINS", "https://a.example, https://b.example,"),
        ("LOG_FORMAT", "PRETTY"),
        ("SAMPLING", "0.25"),
        ("POOL_SIZE", "7"),
        ("DOG_API_BASE_URL", "https://dog.example/api"),
    ])
    .unwrap();
    let server = read.server;
    assert_eq!((server.server_port, server.request_timeout), (0, HumanDuration::from_millis(250)));
    assert_eq!((server.body_limit, server.compression), (ByteSize::mib(10), false));
    assert_eq!(server.cors_origins, ["https://a.example", "https://b.example"]);
    assert_eq!((server.log_format, server.sampling.to_bits()), (LogFormat::Pretty, 0.25_f64.to_bits()));
    assert_eq!(read.store.pool_size.unwrap().get(), 7);
    assert_eq!(read.store.dog_api_base_url.unwrap().host_str(), Some("dog.example"));
}

#[test]
fn reads_every_type_from_the_file() {
    let dir = ConfigDir::new();
    dir.write(
        "kennel.toml",
        "server_port = 0x10\nrequest_timeout = '1m'\ncompression = false\ncors_origins = ['a', 'b']\n\
         log_format = 'pretty'\nsampling = 1\nbody_limit = 4096\npool_size = 7\npostgres_dsn = 'postgres://'",
    );
    let read = dir.load(&[]).unwrap().settings;
    assert_eq!((read.server.server_port, read.server.cors_origins.len()), (16, 2));
    assert_eq!((read.server.log_format, read.server.sampling.to_bits()), (LogFormat::Pretty, 1.0_f64.to_bits()));
    assert_eq!((read.server.body_limit, read.store.postgres_dsn.unwrap().expose()), (ByteSize(4096), "postgres://"));
}

#[test]
fn text_that_looks_like_another_type_stays_text() {
    for text in ["12345", "007", "1e5", "true", "[1]", "{a=1}", "\"x\"", "null", " x ", "a,b", "$HOME"] {
        let read = from_variables(&[("REDIS_PASSWORD", text), ("POSTGRES_DATABASE", text)]).unwrap().store;
        assert_eq!((read.redis_password.unwrap().expose(), read.postgres_database.as_deref()), (text, Some(text)));
    }
}

#[test]
fn reports_all_problems_with_their_locations() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", "# comment\nserverport = 1\nsampling = 'often'\n\n[store]\npool_size = 1");
    dir.write(".env", "# comment\nLOG_FORMAT=xml\nhunter2\nPOOL_SIZE=0");
    let problems = dir
        .load(&[
            ("SERVER_PORT", "x"),
            ("REQUEST_TIMEOUT", "0s"),
            ("BODY_LIMIT", "much"),
            ("COMPRESSION", "maybe"),
            ("DOG_API_BASE_URL", "dog"),
            ("UNRELATED", "x"),
        ])
        .unwrap_err();
    assert_eq!(
        problems,
        [
            ".env:3: must be NAME=value",
            "sampling (kennel.toml:3): must be a number, not \"often\"",
            "LOG_FORMAT (.env:2): must be one of pretty, json, not \"xml\"",
            "COMPRESSION (environment): must be true or false, not \"maybe\"",
            "SERVER_PORT (environment): must be a whole number in 0..=65535, not \"x\"",
            "BODY_LIMIT (environment): must be a number of bytes such as 10MiB, 64KiB or 4096, not \"much\"",
            "REQUEST_TIMEOUT (environment): must be more than zero",
            "POOL_SIZE (.env:4): must be a whole number in 1..=4294967295, not \"0\"",
            "DOG_API_BASE_URL (environment): relative URL without a base: \"dog\"",
            "kennel.toml:2: unknown key \"serverport\", did you mean \"server_port\"",
            "kennel.toml:5: \"store\" is a table; settings are flat, such as \"body_limit\"",
        ]
    );
}

/// Settings without defaults.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
struct Strict {
    bucket: String,
    region: String,
    attempts: u8,
}

impl Section for Strict {
    const TITLE: &'static str = "Strict";
}

struct OnlyStrict;

impl Settings for OnlyStrict {
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.section::<Strict>();
        Self
    }
}

#[test]
fn settings_without_a_default_are_required() {
    let environment = Environment::from_pairs([("REGION", "here"), ("ATTEMPTS", "256")]);
    let problems = load::<OnlyStrict>(&environment).err().unwrap().to_string();
    assert_eq!(
        problems,
        "ATTEMPTS (environment): must be a whole number in 0..=255, not \"256\"\nBUCKET (not set): is required"
    );
}

#[test]
fn checks_between_sections_name_the_location() {
    let problems = from_variables(&[("SERVER_PORT", "6379"), ("REDIS_PASSWORD", PASSWORD)]).unwrap_err();
    assert_eq!(problems, ["SERVER_PORT (environment): must not be that of Redis"]);
}

#[test]
fn numbers_out_of_range_are_rejected_in_every_layer() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", "server_port = 65536");
    let problems = dir.load(&[("SERVER_PORT", "-1"), ("POOL_SIZE", "99999999999999999999999")]).unwrap_err();
    assert_eq!(problems.len(), 3, "{problems:?}");
}

#[test]
fn syntax_errors_are_reported_by_line_without_a_quote() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", format!("server_port = 1\nredis_password = {PASSWORD}!!\n"));
    let problems = dir.load(&[]).unwrap_err();
    assert!(problems[0].starts_with("kennel.toml:2: is not TOML: "), "{problems:?}");
    assert!(!problems.concat().contains("hunter2"), "{problems:?}");
}

#[test]
fn a_missing_file_is_a_problem() {
    let problems = from_variables(&[("CONFIG_FILE", "/nowhere/kennel.toml")]).unwrap_err();
    assert_eq!(problems, ["CONFIG_FILE (environment): /nowhere/kennel.toml cannot be read: entity not found"]);
}

#[test]
fn secrets_come_from_files_too() {
    let dir = ConfigDir::new();
    let path = dir.write("dsn", "postgres://rex:1@db\r\n\n");
    let path = path.to_str().unwrap();
    let read = dir.load(&[("POSTGRES_DSN_FILE", path)]).unwrap();
    assert_eq!(read.settings.store.postgres_dsn.as_ref().unwrap().expose(), "postgres://rex:1@db");
    assert!(read.print().contains("postgres_dsn = \"***\" # POSTGRES_DSN_FILE (environment)\n"), "{}", read.print());
    dir.write("kennel.toml", format!("postgres_dsn_file = {path:?}"));
    assert!(dir.load(&[]).unwrap().settings.store.postgres_dsn.is_some());
}

#[test]
fn a_variable_wins_over_a_secret_file_of_a_lower_layer() {
    let dir = ConfigDir::new();
    let path = dir.write("dsn", "lower");
    dir.write(".env", format!("POSTGRES_DSN_FILE={}", path.display()));
    let read = dir.load(&[("POSTGRES_DSN", "higher")]).unwrap().settings.store;
    assert_eq!(read.postgres_dsn.unwrap().expose(), "higher");
}

#[test]
fn unusable_secret_files_are_problems() {
    let dir = ConfigDir::new();
    let path = dir.write("secret", PASSWORD);
    let (path, empty) = (path.to_str().unwrap(), dir.write("empty", "\n"));
    let binary = dir.write("binary", [0xff, 0xfe]);
    let huge = dir.write("huge", vec![b'x'; 100_000]);
    for (file, problem) in [
        ("/nowhere/secret", "the file cannot be read: entity not found"),
        (empty.to_str().unwrap(), "the file is empty"),
        (binary.to_str().unwrap(), "the file cannot be read: invalid data"),
        (huge.to_str().unwrap(), "the file is larger than 65536 bytes"),
    ] {
        let problems = dir.load(&[("REDIS_PASSWORD_FILE", file)]).unwrap_err();
        assert_eq!(problems, [format!("REDIS_PASSWORD_FILE (environment): {problem}")]);
    }
    let both = dir.load(&[("REDIS_PASSWORD_FILE", path), ("REDIS_PASSWORD", PASSWORD)]).unwrap_err();
    assert_eq!(both, ["REDIS_PASSWORD_FILE (environment): is set together with REDIS_PASSWORD; set one of them"]);
}

#[test]
fn only_secrets_come_from_files() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", "pool_size_file = 'x'");
    assert!(dir.load(&[]).unwrap_err()[0].starts_with("kennel.toml:1: unknown key \"pool_size_file\""));
}

#[test]
fn secrets_are_never_shown() {
    let dir = ConfigDir::new();
    let loaded = dir.load(&[("POSTGRES_DSN", PASSWORD), ("REDIS_PASSWORD", PASSWORD)]).unwrap();
    let json = serde_json::to_string(&loaded.settings.store).unwrap();
    let environment = Environment::from_pairs([("REDIS_PASSWORD", PASSWORD)]);
    for shown in [format!("{loaded:?}"), format!("{environment:?}"), loaded.print(), json] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert_eq!(loaded.settings.store.redis_password.unwrap().expose(), PASSWORD);
}

#[test]
fn problems_do_not_show_secrets() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", format!("redis_password = ['{PASSWORD}']\npostgres_dsn_fil = '{PASSWORD}'"));
    dir.write(".env", format!("REDIS_PASSWORD=\"{PASSWORD}\nPOSTGRES_DSN_FILE={PASSWORD}"));
    let problems = dir.load(&[]).unwrap_err();
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(!problems.concat().contains("hunter2"), "{problems:?}");
}

#[cfg(unix)]
#[test]
fn variables_that_are_not_utf8_matter_only_when_they_are_settings() {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt as _;

    let broken = || OsString::from_vec(vec![0xff]);
    let environment = Environment::from_pairs([(OsString::from("UNRELATED"), broken())]);
    assert!(load::<Everything>(&environment).is_ok());
    let environment = Environment::from_pairs([(OsString::from("POSTGRES_DATABASE"), broken())]);
    let problems = load::<Everything>(&environment).unwrap_err();
    assert_eq!(problems.to_string(), "POSTGRES_DATABASE (environment): is not UTF-8");
}

#[test]
fn prints_effective_settings_as_valid_toml() {
    let dir = ConfigDir::new();
    dir.write("kennel.toml", "\nbody_limit = \"2MiB\"");
    dir.write(".env", "CORS_ORIGINS='a\",b'");
    let loaded = dir.load(&[("SERVER_PORT", "9"), ("POSTGRES_DSN", PASSWORD)]).unwrap();
    let folder = format!("{}/", dir.0.path().display());
    let printed = loaded.print().replace(&folder, "");
    assert_eq!(
        printed,
        "# Server\n\
         body_limit = \"2MiB\" # body_limit (kennel.toml:2)\n\
         compression = true # default\n\
         cors_origins = ['a\"', \"b\"] # CORS_ORIGINS (.env:1)\n\
         log_format = \"json\" # default\n\
         request_timeout = \"30s\" # default\n\
         sampling = 1.0 # default\n\
         server_port = 9 # SERVER_PORT (environment)\n\
         \n\
         # Store\n\
         # dog_api_base_url is not set\n\
         # pool_size is not set\n\
         # postgres_database is not set\n\
         postgres_dsn = \"***\" # POSTGRES_DSN (environment)\n\
         # redis_password is not set\n"
    );
    let again = ConfigDir::new();
    again.write("kennel.toml", printed);
    assert_eq!(again.load(&[]).unwrap().settings.server.cors_origins, ["a\"", "b"]);
}

#[test]
fn the_reference_lists_every_setting() {
    let text = reference::<Everything>();
    for line in [
        "## Server",
        "| variable | value | default | meaning |",
        "| `SERVER_PORT` | a whole number in 0..=65535 | `8080` | Port of the HTTP server; `0` picks one \\| any. |",
        "| `REQUEST_TIMEOUT` | a duration | `30s` | How long a request may take. |",
        "| `LOG_FORMAT` | one of pretty, json | `json` |  |",
        "| `POSTGRES_DSN`, `POSTGRES_DSN_FILE` | secret text | none | The URL of PostgreSQL. |",
        "| `BODY_LIMIT` | a number of bytes | `1MiB` |  |",
        "| `CORS_ORIGINS` | a list, each item text | none |  |",
        "| `DOG_API_BASE_URL` | a URL | none |  |",
        "| `POOL_SIZE` | a whole number in 1..=4294967295 | none |  |",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line:?} in\n{text}");
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("| `")).count(), 12);
}

#[test]
fn a_service_can_have_other_defaults() {
    struct OtherPort(Web);
    impl Settings for OtherPort {
        fn read(reader: &mut Reader<'_>) -> Self {
            Self(reader.section_with(&[("server_port", 8081)]))
        }
    }
    let port = |pairs: &[(&str, &str)]| {
        let loaded = load::<OtherPort>(&Environment::from_pairs(pairs.iter().copied())).unwrap();
        (loaded.settings.0.server_port, loaded.settings.0.log_format)
    };
    assert_eq!(port(&[]), (8081, LogFormat::Json));
    assert_eq!(port(&[("SERVER_PORT", "8080")]), (8080, LogFormat::Json));
    assert_eq!(port(&[("LOG_FORMAT", "pretty")]), (8081, LogFormat::Pretty));
    let row = reference::<OtherPort>();
    assert!(row.contains("| `SERVER_PORT` |") && row.contains("| `8081` |"), "{row}");
}
