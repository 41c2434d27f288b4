//! How long `kennel` takes for a project of ten services, each with an API from an OpenAPI document:
//! `cargo bench -p kennel-starter`.

#![expect(clippy::unwrap_used, reason = "a measurement fails by panicking")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use std::{fmt::Write as _, fs};

const RUNS: usize = 12;
const SERVICES: usize = 10;

/// The best of some runs, each after a preparation.
fn best(prepare: impl Fn(), run: impl Fn()) -> Duration {
    let measure = |_| {
        prepare();
        let started = Instant::now();
        run();
        started.elapsed()
    };
    (0..RUNS).map(measure).min().unwrap()
}

fn kennel(folder: &Path, arguments: &[&str]) {
    let output = Command::new(env!("CARGO_BIN_EXE_kennel")).args(arguments).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/api/orders.yaml");
    fs::create_dir(folder.path().join("api")).unwrap();
    let (mut rest, mut applications) = (String::new(), String::new());
    for number in 0..SERVICES {
        fs::copy(&document, folder.path().join(format!("api/a{number}.yaml"))).unwrap();
        let port = 8100 + number;
        writeln!(rest, "  - {{name: a{number}, generator_type: openapi, path: api/a{number}.yaml, port: {port}}}")
            .unwrap();
        writeln!(applications, "  - {{name: shop-a{number}, transport: [{{name: a{number}}}]}}").unwrap();
    }
    let text = format!(
        "main: {{name: shop}}\nplatform: {{path: ../kennel}}\nentity: {{name: item}}\nstorage: [sqlite, postgres]\nrest:\n{rest}applications:\n{applications}"
    );
    fs::write(folder.path().join("answers.yaml"), text).unwrap();
    let project = folder.path().join("shop");
    let remove = || drop(fs::remove_dir_all(&project));
    let created = best(remove, || kennel(folder.path(), &["new", "shop", "--answers", "answers.yaml"]));
    let unchanged = best(|| {}, || kennel(&project, &["generate"]));
    let (mut files, mut lines) = (0, 0);
    count(&project, &mut files, &mut lines);
    println!("{SERVICES} services, {files} files with {lines} lines, the best of {RUNS} runs");
    println!("kennel new                  {:4} ms", created.as_millis());
    println!("kennel generate, unchanged  {:4} ms", unchanged.as_millis());
}

/// The generated files, without the state.
fn count(folder: &Path, files: &mut usize, lines: &mut usize) {
    for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if path.is_dir() && !path.ends_with(".kennel") {
            count(&path, files, lines);
        } else if path.is_file() {
            *files += 1;
            *lines += fs::read_to_string(path).unwrap().lines().count();
        }
    }
}
