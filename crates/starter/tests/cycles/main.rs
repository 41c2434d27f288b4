//! Real projects: every pair of options, and random changes of `kennel.yaml` and edits. In memory; `compiled` has the
//! tests that need a compiler.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod compiled;
mod options;
mod pairs;

use std::collections::BTreeMap;

use kennel_starter::generate::{self, Files};
use kennel_starter::state::Base;
use kennel_starter::update::{self, Update};
use options::PARAMETERS;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const CYCLES: u32 = 30;

type Disk = BTreeMap<String, Vec<u8>>;

/// One of all options, or names that change.
fn configuration(random: &mut StdRng, platform: &str) -> String {
    if random.random_bool(0.5) {
        let row: Vec<_> = PARAMETERS.iter().map(|(_, values)| random.random_range(0..values.len())).collect();
        if options::is_valid(&row) {
            return options::configuration("shop", &row, platform);
        }
    }
    let mut pick = |options: &[&str]| options[random.random_range(0..options.len())].to_owned();
    let entity = pick(&["item", "apple", "order_line"]);
    let storage =
        pick(&["sqlite", "postgres, sqlite", "mysql", "clickhouse, postgres", "sqlite, postgres, mysql, clickhouse"]);
    let (consumer, job) = (pick(&["indexer", "search-indexer"]), pick(&["schedule", "daemon", "telegram"]));
    let queue = pick(&["", "mailer", "outbound"]);
    let (cli, driver) = (pick(&["", "admin", "tool"]), pick(&["", "s3", "telegram", "custom"]));
    let application = pick(&["transport: [{name: web}]", "transport: [{name: web}, {name: rpc}]"]);
    let name = pick(&["shop-server", "shop-api"]);
    let optional = |name: &str, text: String| if name.is_empty() { String::new() } else { text };
    let queue_name = optional(&queue, format!(", {queue}"));
    let queues = optional(&queue, format!(", {{name: {queue}, generator_type: queue, path: queues/mailer.yaml}}"));
    let driver_name = optional(&driver, ", driver: [link]".to_owned());
    let drivers = optional(&driver, format!("driver: [{{name: link, generator_type: {driver}}}]\n"));
    let adds = optional(&queue, format!(", queue: [{queue}]"));
    let command_line =
        format!("  - {{name: shop-tool, cli: {cli}{adds}}}\ncli: [{{name: {cli}, path: cli/admin.yaml}}]\n");
    let tool = optional(&cli, command_line);
    let rpc = if application.contains("rpc") { "grpc: [{name: rpc}]\n" } else { "" };
    format!(
        "main: {{name: shop}}\nplatform: {{{platform}}}\nentity: {{name: {entity}}}\nstorage: [{storage}]\n\
         rest: [{{name: web}}]\n{rpc}kafka: [{{name: {consumer}, type: consumer}}]\n\
         worker: [{{name: nightly, generator_type: {job}}}{queues}]\n\
         applications:\n  - {{name: {name}, {application}}}\n  - {{name: background, kafka: [{consumer}], worker: [nightly{queue_name}]{driver_name}}}\n{tool}{drivers}"
    )
}

/// Adds comments at random lines of random files.
fn edit(random: &mut StdRng, disk: &mut Disk, next: &mut u32) {
    let paths: Vec<_> = disk.keys().cloned().collect();
    for _ in 0..random.random_range(0..6) {
        let path = &paths[random.random_range(0..paths.len())];
        let text = String::from_utf8(disk[path].clone()).unwrap();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        *next += 1;
        let comment = match path.rsplit('.').next() {
            Some("rs" | "proto") => "//",
            Some("sql") => "--",
            _ => "#",
        };
        lines.insert(random.random_range(0..=lines.len()), format!("{comment} user-{next};"));
        disk.insert(path.clone(), (lines.join("\n") + "\n").into_bytes());
    }
}

fn apply(disk: &mut Disk, update: &Update) {
    for (path, content) in &update.changes {
        match content {
            Some(content) => disk.insert(path.clone(), content.clone()),
            None => disk.remove(path),
        };
    }
}

/// A generated manifest names no package that is not generated any more.
fn assert_dependencies_exist(disk: &Disk, new: &Files) {
    for path in new.keys().filter(|path| path.ends_with("/Cargo.toml")) {
        let text = String::from_utf8_lossy(&disk[path]);
        let folders = text.split("path = \"../").skip(1).map(|rest| rest.split('"').next().unwrap());
        for folder in folders {
            let manifest = format!("crates/{}/Cargo.toml", folder.trim_start_matches("../crates/"));
            assert!(new.contains_key(&manifest), "{path} needs {manifest}");
        }
    }
}

fn count(disk: &Disk, line: &str) -> usize {
    disk.values().map(|text| String::from_utf8_lossy(text).matches(line).count()).sum()
}

#[test]
fn real_projects_lose_no_edit() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut base, mut disk, mut edits) = (Base::new(), Disk::new(), 0);
    for cycle in 0..CYCLES {
        let text = configuration(&mut random, "path: ../kennel");
        let (config, contracts) = options::read(&text);
        let new = generate::files(&config, &contracts).unwrap();
        let update = update::plan(&base, &|path| disk.get(path).cloned(), &new);
        apply(&mut disk, &update);
        for edit in 1..=edits {
            assert_eq!(count(&disk, &format!("user-{edit};")), 1, "cycle {cycle}, edit {edit}:\n{text}");
        }
        if update.conflicts.is_empty() {
            assert_dependencies_exist(&disk, &new);
        }
        let again = update::plan(&update.base, &|path| disk.get(path).cloned(), &new);
        assert!(again.changes.is_empty() && again.base == update.base, "cycle {cycle}: {:?}", again.events);
        base = update.base;
        edit(&mut random, &mut disk, &mut edits);
    }
    assert!(edits > 30, "{edits}");
}
