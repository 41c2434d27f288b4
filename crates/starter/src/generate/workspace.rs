//! The manifest of a project's own workspace. Versions, lints and profiles are those of the platform's.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, Value, value};

use crate::config::Config;

/// The manifest of the platform's workspace.
const PLATFORM: &str = include_str!("../../../../Cargo.toml");

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The dependencies that the manifests among `files` take from the workspace.
fn dependencies(files: &BTreeMap<String, String>) -> anyhow::Result<BTreeSet<String>> {
    let mut needed = BTreeSet::new();
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with("/Cargo.toml")) {
        let manifest: DocumentMut = text.parse().with_context(|| format!("generated {path}"))?;
        let tables = DEPENDENCY_TABLES.iter().filter_map(|name| manifest.get(name)?.as_table());
        let shared = tables.flat_map(Table::iter).filter(|(_, item)| item.get("workspace").is_some());
        needed.extend(shared.map(|(name, _)| name.to_owned()));
    }
    Ok(needed)
}

/// The folders of the packages among `files`, each in a line of its own. Not patterns: a folder of a package that is not
/// generated any more remains if somebody changed a file in it, and Cargo reads no workspace in which such a folder matches.
fn members(files: &BTreeMap<String, String>) -> Array {
    let mut members: Array = files.keys().filter_map(|path| path.strip_suffix("/Cargo.toml")).collect();
    for member in members.iter_mut() {
        member.decor_mut().set_prefix("\n    ");
    }
    members.set_trailing("\n");
    members.set_trailing_comma(true);
    members
}

/// The manifest for the packages among `files`.
pub(super) fn manifest(config: &Config, files: &BTreeMap<String, String>) -> anyhow::Result<String> {
    let needed = dependencies(files)?;
    let platform: DocumentMut = PLATFORM.parse().context("the platform's manifest")?;
    let mut manifest = DocumentMut::new();
    let mut workspace = Table::new();
    workspace.insert("resolver", value("3"));
    workspace.insert("members", value(members(files)));
    workspace.insert("package", package(&platform)?);
    workspace.insert("dependencies", Item::Table(shared(config, &platform, &needed)?));
    workspace.insert("lints", section(&platform, &["workspace", "lints"])?);
    manifest.insert("workspace", Item::Table(workspace));
    let mut profile = Table::new();
    profile.set_implicit(true);
    profile.insert("dev", section(&platform, &["profile", "dev"])?);
    // Those of single packages are for the platform's own tests.
    let packages = profile.get_mut("dev").and_then(|dev| dev.get_mut("package")).and_then(Item::as_table_mut);
    if let Some(packages) = packages {
        packages.retain(|name, _| name == "*");
    }
    profile.insert("release", section(&platform, &["profile", "release"])?);
    manifest.insert("profile", Item::Table(profile));
    Ok(plain(&manifest.to_string()))
}

/// Tables in the order of the text, each after an empty line: positions of another document mean nothing here.
fn plain(text: &str) -> String {
    text.trim_start().to_owned()
}

fn section(platform: &DocumentMut, path: &[&str]) -> anyhow::Result<Item> {
    let mut item = platform.as_item();
    for key in path {
        item = item.get(key).with_context(|| format!("the platform's manifest has no {}", path.join(".")))?;
    }
    let mut item = item.clone();
    forget_positions(&mut item);
    Ok(item)
}

fn forget_positions(item: &mut Item) {
    if let Some(table) = item.as_table_mut() {
        table.set_position(None);
        for (_, item) in table.iter_mut() {
            forget_positions(item);
        }
    }
}

fn package(platform: &DocumentMut) -> anyhow::Result<Item> {
    let mut package = Table::new();
    package.insert("version", value("0.1.0"));
    for key in ["edition", "rust-version"] {
        package.insert(key, section(platform, &["workspace", "package", key])?);
    }
    package.insert("publish", value(false));
    Ok(Item::Table(package))
}

/// First the crates of the platform, then the others, each in order of their names.
fn shared(config: &Config, platform: &DocumentMut, needed: &BTreeSet<String>) -> anyhow::Result<Table> {
    let mut table = Table::new();
    let (own, others): (Vec<_>, Vec<_>) = needed.iter().partition(|name| name.starts_with("kennel-"));
    for name in own {
        let item = section(platform, &["workspace", "dependencies", name])?;
        table.insert(name, value(located(config, &item)?));
    }
    for name in others {
        let mut item = section(platform, &["workspace", "dependencies", name])?;
        if let Some(value) = item.as_value_mut() {
            value.decor_mut().clear();
        }
        table.insert(name, item);
    }
    Ok(table)
}

/// The dependency on a crate of the platform, where the configuration says it is.
fn located(config: &Config, item: &Item) -> anyhow::Result<InlineTable> {
    let mut result = InlineTable::new();
    let folder = item.get("path").and_then(Item::as_str).context("a platform crate without a path")?;
    if let Some(root) = &config.platform.path {
        result.insert("path", Value::from(format!("{}/{folder}", root.trim_end_matches('/'))));
    }
    if let (Some(git), Some(rev)) = (&config.platform.git, &config.platform.rev) {
        result.insert("git", Value::from(git));
        result.insert("rev", Value::from(rev));
    }
    if let Some(features) = item.get("default-features").and_then(Item::as_bool) {
        result.insert("default-features", Value::from(features));
    }
    Ok(result)
}
