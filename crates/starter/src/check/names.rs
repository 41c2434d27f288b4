//! Names that have a meaning in the generated code.

use super::Problems;
use crate::config::Config;
use crate::contract::names::is_keyword;
use crate::yaml::Node;

/// What the generated code calls something else than an entity or a module.
const RESERVED: &str = "\
    after api arc at body chain char clock codec column columns component config context count create created \
    cursor cx database delete deleted details document domain engine error event events exists folder format found \
    get grpc handler http id ids index insert item_source json key kind limit list message metrics migration \
    migrations millis name number option order page pages path pb process proto query range read receipt record \
    registry repo repository request response result route router routes row rows rpc select send server service \
    size source span state status stop storage store stored story stream string sys table test text time timestamp \
    token topic trace unknown user uuid value variable variables vec version worker write";

/// Crates that the generated code names: another crate, or a module that it imports, would hide them.
const FOREIGN: &[&str] = &[
    "alloc",
    "anyhow",
    "async-trait",
    "clap",
    "core",
    "proc-macro",
    "reqwest",
    "rustls",
    "serde",
    "serde-json",
    "std",
    "tempfile",
    "test",
    "tokio",
    "tonic",
    "tracing",
];

/// Suffixes of the project's own crates.
const CRATES: &[&str] = &["domain", "storages", "proto", "transport", "workers", "contracts", "clients", "drivers"];

/// Whether an entity or a module cannot have this name.
pub(super) fn is_reserved(name: &str) -> bool {
    is_keyword(name) || RESERVED.split_whitespace().any(|reserved| reserved == name)
}

pub(super) fn is_foreign(name: &str) -> bool {
    FOREIGN.contains(&name) || name.starts_with("kennel")
}

/// Whether the project has another crate of this name.
pub(super) fn is_own(name: &str, project: &str) -> bool {
    name.strip_prefix(project).and_then(|rest| rest.strip_prefix('-')).is_some_and(|suffix| CRATES.contains(&suffix))
}

/// Whether it can be the name of a topic or of an event.
pub(super) fn is_dotted(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.chars().all(|char| char.is_ascii_lowercase() || char.is_ascii_digit());
    text.len() <= 100 && text.split(['.', '-', '_']).all(is_word)
}

/// The name of an entry with a document, which is that of modules and fields.
pub(super) fn check_module(name: &str, node: &Node, config: &Config, problems: &mut Problems) {
    let entity = [config.entity.name.clone(), config.entity.plural()];
    let is_taken = is_reserved(name) || entity.contains(&name.replace('-', "_"));
    if is_foreign(name) || is_own(name, &config.main.name) || is_taken {
        let position = node.get("name").unwrap_or(node).position;
        problems.add::<()>(position, format!("`{name}` has another meaning in the generated code"));
    }
}

/// Whether a path stays in the folder in which it starts, with `/` between its parts.
pub(super) fn is_below(path: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && part != "." && part != "..";
    !path.contains('\\') && path.split('/').all(is_part) && !path.starts_with(".kennel/")
}
