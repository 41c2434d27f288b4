//! Real projects through random changes of `kennel.yaml` and edits, in memory.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;

use kennel_starter::state::Base;
use kennel_starter::{check, generate, update};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

const CYCLES: u32 = 30;

type Disk = BTreeMap<String, Vec<u8>>;

fn configuration(random: &mut StdRng) -> String {
    let mut pick = |options: &[&str]| options[random.random_range(0..options.len())].to_owned();
    let entity = pick(&["item", "apple", "order_line"]);
    let storage =
        pick(&["sqlite", "postgres, sqlite", "mysql", "clickhouse, postgres", "sqlite, postgres, mysql, clickhouse"]);
    let (consumer, job) = (pick(&["indexer", "search-indexer"]), pick(&["schedule", "daemon"]));
    let application = pick(&["transport: [{name: web}]", "transport: [{name: web}, {name: rpc}]"]);
    let name = pick(&["shop-server", "shop-api"]);
    let rpc = if application.contains("rpc") { "grpc: [{name: rpc}]\n" } else { "" };
    format!(
        "main: {{name: shop}}\nplatform: {{path: ../kennel}}\nentity: {{name: {entity}}}\nstorage: [{storage}]\n\
         rest: [{{name: web}}]\n{rpc}kafka: [{{name: {consumer}, type: consumer}}]\n\
         worker: [{{name: nightly, generator_type: {job}}}]\n\
         applications:\n  - {{name: {name}, {application}}}\n  - {{name: background, kafka: [{consumer}], worker: [nightly]}}\n"
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
        let comment = if path.ends_with("rs") { "//" } else { "#" };
        lines.insert(random.random_range(0..=lines.len()), format!("{comment} user-{next};"));
        disk.insert(path.clone(), (lines.join("\n") + "\n").into_bytes());
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
        let text = configuration(&mut random);
        let new = generate::files(&check::read(&text).unwrap()).unwrap();
        let update = update::plan(&base, &|path| disk.get(path).cloned(), &new);
        for (path, content) in &update.changes {
            match content {
                Some(content) => disk.insert(path.clone(), content.clone()),
                None => disk.remove(path),
            };
        }
        for edit in 1..=edits {
            assert_eq!(count(&disk, &format!("user-{edit};")), 1, "cycle {cycle}, edit {edit}:\n{text}");
        }
        let again = update::plan(&update.base, &|path| disk.get(path).cloned(), &new);
        assert!(again.changes.is_empty() && again.base == update.base, "cycle {cycle}: {:?}", again.events);
        base = update.base;
        edit(&mut random, &mut disk, &mut edits);
    }
    assert!(edits > 30, "{edits}");
}
