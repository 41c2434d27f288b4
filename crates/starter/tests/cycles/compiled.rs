//! What needs a compiler: all projects in one workspace, of which every application is linted, started, scraped and stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use kennel_starter::config::Config;
use kennel_starter::generate::{self, Files};
use kennel_starter::state::Base;
use kennel_starter::update;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::options::{self, PARAMETERS};
use super::{Disk, apply, configuration, edit};

const START_LIMIT: Duration = Duration::from_mins(1);
const STOP_LIMIT: Duration = Duration::from_secs(30);

/// In the workspace around the projects.
const PLATFORM: &str = "workspace: true";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A workspace with the dependencies, profiles and versions of this one, and a program that is all applications.
struct Workspace {
    folder: PathBuf,
    /// The folders of the packages.
    packages: BTreeSet<String>,
    /// The project of each.
    applications: BTreeMap<String, String>,
}

impl Workspace {
    fn new(folder: &Path) -> Self {
        fs::remove_dir_all(folder).ok();
        fs::create_dir_all(folder).unwrap();
        let repository = root();
        for file in ["Cargo.lock", "rustfmt.toml", "clippy.toml"] {
            fs::copy(repository.join(file), folder.join(file)).unwrap();
        }
        Self { folder: folder.to_owned(), packages: BTreeSet::new(), applications: BTreeMap::new() }
    }

    fn add(&mut self, name: &str, text: &str) {
        let (config, contracts) = options::read(text);
        let project = self.folder.join(name);
        let write = |path: &str, text: &str| {
            let file = project.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let files = generate::files(&config, &contracts).unwrap();
        for (path, file) in &files {
            write(path, &file.text);
        }
        self.add_documents_and_packages(name, &config, &files);
    }

    fn add_documents_and_packages(&mut self, project: &str, config: &Config, files: &Files) {
        self.copy_documents(project, config);
        let packages = files.keys().filter_map(|path| path.strip_suffix("/Cargo.toml"));
        self.packages.extend(packages.map(|package| format!("{project}/{package}")));
        let names = config.applications.iter().map(|application| application.name.clone());
        self.applications.extend(names.map(|name| (name, project.to_owned())));
    }

    fn copy_documents(&self, name: &str, config: &Config) {
        let project = self.folder.join(name);
        for path in config.documents() {
            let file = project.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::copy(options::documents_folder().join(path), file).unwrap();
        }
        // With what it imports.
        copy(&options::documents_folder().join("proto/billing"), &project.join("proto/billing"));
    }

    /// The manifest, and the program that is the application by whose name it is called: one link instead of a hundred.
    fn write_manifest_and_launcher(&self) {
        let repository = root();
        let manifest = fs::read_to_string(repository.join("Cargo.toml")).unwrap();
        let members = manifest.lines().find(|line| line.starts_with("members = ")).unwrap();
        let packages: Vec<_> = self.packages.iter().map(String::as_str).chain(["all"]).collect();
        let manifest = manifest.replace(members, &format!("members = {packages:?}"));
        let manifest = manifest.replace("path = \"", &format!("path = \"{}/", repository.display()));
        fs::write(self.folder.join("Cargo.toml"), manifest).unwrap();
        let (mut dependencies, mut arms) = (String::new(), String::new());
        for (name, project) in &self.applications {
            writeln!(dependencies, "{name} = {{ path = \"../{project}/apps/{name}\" }}").unwrap();
            let module = name.replace('-', "_");
            writeln!(
                arms,
                "        \"{name}\" => kennel_service::main::<{module}::App>(kennel_service::build_info!(\"{name}\")),"
            )
            .unwrap();
        }
        let folder = self.folder.join("all");
        fs::create_dir_all(folder.join("src")).unwrap();
        let manifest = format!(
            "[package]\nname = \"all\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[dependencies]\nkennel-service.workspace = true\n{dependencies}"
        );
        fs::write(folder.join("Cargo.toml"), manifest).unwrap();
        let code = format!(
            "fn main() -> std::process::ExitCode {{\n    let path = std::env::args().next().unwrap_or_default();\n    \
             match path.rsplit('/').next().unwrap_or_default() {{\n{arms}        _ => std::process::ExitCode::FAILURE,\n    }}\n}}\n"
        );
        fs::write(folder.join("src/main.rs"), code).unwrap();
    }

    fn cargo(&self, arguments: &[&str]) {
        let started = Instant::now();
        let status =
            Command::new(env!("CARGO")).arg("--offline").args(arguments).current_dir(&self.folder).status().unwrap();
        assert!(status.success(), "cargo {arguments:?}");
        println!("cargo {}: {:.0} s", arguments.join(" "), started.elapsed().as_secs_f64());
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap().path()) {
        let target = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            fs::copy(entry, target).unwrap();
        }
    }
}

/// What the scrape of an application had.
struct Scraped {
    seconds: f64,
    series: usize,
}

/// Starts an application, waits until it is ready, reads its metrics, and stops it.
fn run(program: &Path, name: &str) -> Scraped {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join(name);
    std::os::unix::fs::symlink(program, &link).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let started = Instant::now();
    let mut process = Command::new(&link)
        .arg("serve")
        .current_dir(folder.path())
        .env_clear()
        .envs([("STORAGE", "sqlite"), ("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", &port.to_string())])
        .envs([
            ("PAYMENTS_API_URL", "http://localhost:1"),
            ("PAYMENTS_API_CREDENTIAL", "x"),
            ("CATALOG_GRPC_URL", "http://localhost:1"),
            ("HELPER_TELEGRAM_TOKEN", "1:test"),
            ("HELPER_TELEGRAM_URL", "http://localhost:1"),
            ("HELPER_TELEGRAM_PRIVATE", "true"),
            ("LINK_TELEGRAM_TOKEN", "1:test"),
        ])
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    let log = || fs::read_to_string(folder.path().join("log")).unwrap_or_default();
    let is_ready = wait(START_LIMIT, || get(port, "/live").is_some_and(|(status, _)| status == 200));
    assert!(is_ready, "{name} does not start: {}", log());
    let seconds = started.elapsed().as_secs_f64();
    let (status, metrics) = get(port, "/metrics").unwrap();
    assert_eq!(status, 200, "{name}");
    let is_stopped = stop(&mut process);
    assert_eq!(is_stopped, Some(0), "{name} does not stop: {}", log());
    Scraped { seconds, series: metrics.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count() }
}

fn wait(limit: Duration, mut is_true: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while Instant::now() < end {
        if is_true() {
            return true;
        }
        thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The exit code after SIGTERM.
fn stop(process: &mut Child) -> Option<i32> {
    let status = Command::new("kill").arg(process.id().to_string()).status().unwrap();
    assert!(status.success());
    if !wait(STOP_LIMIT, || process.try_wait().unwrap().is_some()) {
        process.kill().unwrap();
    }
    process.wait().unwrap().code()
}

/// The status and the body of a response.
fn get(port: u16, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").ok()?;
    let mut response = String::new();
    stream.read_to_string(&mut response).ok()?;
    let (head, body) = response.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// `KENNEL_PAIRS` is the folder for the workspace; `CARGO_TARGET_DIR` may name a target folder that has the dependencies.
#[test]
#[ignore = "compiles more than 40 projects: the long form of `pairs`"]
fn every_pair_of_options_compiles_and_runs() {
    let folder = PathBuf::from(std::env::var("KENNEL_PAIRS").unwrap());
    let rows = options::covering();
    let mut workspace = Workspace::new(&folder);
    for (number, row) in rows.iter().enumerate() {
        let name = format!("p{number:02}");
        workspace.add(&name, &options::configuration(&name, row, PLATFORM));
    }
    workspace.write_manifest_and_launcher();
    workspace.cargo(&[
        "clippy",
        "--workspace",
        "--exclude",
        "all",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]);
    // With the features of the whole workspace, as above.
    workspace.cargo(&["build", "--workspace", "--bin", "all", "--all-features"]);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| folder.join("target"), PathBuf::from);
    let program = target.join("debug/all");
    let mut table = String::from("| project | application | start, s | series | options |\n|---|---|---|---|---|\n");
    // A command line does not serve.
    for name in workspace.applications.keys().filter(|name| !name.ends_with("-tool")) {
        let Scraped { seconds, series } = run(&program, name);
        let number: usize = name[1..3].parse().unwrap();
        let options: Vec<_> = PARAMETERS.iter().map(|(option, _)| options::value(&rows[number], option)).collect();
        writeln!(table, "| {} | {name} | {seconds:.2} | {series} | {} |", &name[..3], options.join("; ")).unwrap();
        assert!(series > 20, "{name}");
    }
    println!("{} projects, {} applications\n{table}", rows.len(), workspace.applications.len());
}

/// `KENNEL_CYCLES_FOLDER` is the folder for the workspace, `KENNEL_COMPILED_CYCLES` the number of cycles. Somebody adds
/// comments, the options change, and the project is updated and checked; conflicts are resolved with what was generated.
#[test]
#[ignore = "compiles a project 100 times: the long form of `real_projects_lose_no_edit`"]
fn random_cycles_compile() {
    let folder = PathBuf::from(std::env::var("KENNEL_CYCLES_FOLDER").unwrap());
    let cycles = std::env::var("KENNEL_COMPILED_CYCLES").map_or(100, |cycles| cycles.parse().unwrap());
    let mut workspace = Workspace::new(&folder);
    let mut random = StdRng::seed_from_u64(7);
    let (mut base, mut disk, mut edits, mut conflicts) = (Base::new(), Disk::new(), 0, 0);
    for cycle in 0..cycles {
        let text = configuration(&mut random, "workspace: true");
        let (config, contracts) = options::read(&text);
        let new = generate::files(&config, &contracts).unwrap();
        let update = update::plan(&base, &|path| disk.get(path).cloned(), &new);
        apply(&mut disk, &update);
        for (path, sides) in &update.conflicts {
            conflicts += 1;
            disk.insert(path.clone(), sides.theirs.clone());
        }
        base = update.base;
        let project = folder.join("shop");
        fs::remove_dir_all(&project).ok();
        for (path, content) in &disk {
            let file = project.join(path);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
        }
        workspace.packages.clear();
        workspace.applications.clear();
        workspace.add_documents_and_packages("shop", &config, &new);
        workspace.write_manifest_and_launcher();
        workspace.cargo(&["check", "--workspace", "--all-targets", "--all-features"]);
        println!("cycle {cycle}: {} files, {edits} edits, {conflicts} conflicts\n{text}", disk.len());
        edit(&mut random, &mut disk, &mut edits);
    }
}
