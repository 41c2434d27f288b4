//! The program on projects in temporary folders.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::Instant;

mod imports;
mod setup;
mod wizard;

const ANSWERS: &str = "\
main:
  name: shop
platform:
  path: ../kennel
entity:
  name: item
storage: [sqlite, postgres]
rest:
  - name: web
applications:
  - name: shop-web
    transport: [{name: web}]
";

fn kennel(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kennel")).args(arguments).current_dir(folder).output().unwrap()
}

/// Runs a program with this standard input.
fn with_input(program: &mut Command, input: &str) -> Output {
    let piped = program.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = piped.spawn().unwrap();
    process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    process.wait_with_output().unwrap()
}

/// The exit code and what was printed.
fn run(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let output = kennel(folder, arguments);
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    (output.status.code().unwrap(), text)
}

struct Project {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Project {
    fn new(answers: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("answers.yaml"), answers).unwrap();
        let (code, text) = run(folder.path(), &["new", "shop", "--answers", "answers.yaml"]);
        assert_eq!(code, 0, "{text}");
        let names: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names.len(), 2, "something is left of its creation: {names:?}");
        Self { root: folder.path().join("shop"), _folder: folder }
    }

    fn run(&self, arguments: &[&str]) -> (i32, String) {
        run(&self.root, arguments)
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root.join(path)).unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.root.join(path), text).unwrap();
    }

    fn replace(&self, path: &str, from: &str, to: &str) {
        let text = self.read(path);
        assert!(text.contains(from), "{path}: {from}");
        self.write(path, &text.replacen(from, to, 1));
    }

    /// All files, with those of the state.
    fn tree(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        fn collect(folder: &Path, root: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
            for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() && !entry.ends_with(".git") {
                    collect(&entry, root, found);
                } else if entry.is_file() {
                    found.insert(entry.strip_prefix(root).unwrap().to_owned(), fs::read(&entry).unwrap());
                }
            }
        }
        let mut found = BTreeMap::new();
        collect(&self.root, &self.root, &mut found);
        found
    }
}

#[test]
fn an_update_merges_edits_with_a_changed_configuration() {
    let project = Project::new(ANSWERS);
    let tree = project.tree();
    assert_eq!(project.run(&["generate"]), (0, "up to date\n".to_owned()));
    assert_eq!(project.tree(), tree, "an update of an unchanged project changes something");

    project.replace("crates/domain/Cargo.toml", "uuid.workspace = true", "uuid.workspace = true\nurl = \"2\" # mine");
    project.replace("crates/domain/src/lib.rs", "use std::fmt;", "// mine\nuse std::fmt;");
    fs::remove_file(project.root.join("README.md")).unwrap();
    let (code, text) = project.run(&["drift"]);
    assert_eq!(
        (code, &*text),
        (0, "README.md: deleted\ncrates/domain/Cargo.toml: changed\ncrates/domain/src/lib.rs: changed\n")
    );

    project.replace("kennel.yaml", "name: item", "name: product");
    let before = project.tree();
    let (code, text) = project.run(&["generate", "--dry-run"]);
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("+use shop_domain::{Product"), "{text}");
    assert_eq!(project.tree(), before, "a dry run changes something");
    let (code, text) = project.run(&["generate"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("crates/domain/src/lib.rs: merged with your changes\n"), "{text}");
    assert!(text.contains("README.md: stays deleted\n"), "{text}");
    let expected = "migrations/sqlite/0002_products.up.sql: renamed from migrations/sqlite/0002_items.up.sql\n";
    assert!(text.contains(expected), "{text}");
    assert!(project.read("crates/domain/src/lib.rs").contains("// mine\nuse std::fmt;"));
    assert!(project.read("crates/domain/src/lib.rs").contains("pub struct ProductId"));
    assert!(project.read("crates/domain/Cargo.toml").contains("url = \"2\" # mine\n"));
    assert!(
        !project.root.join("README.md").exists() && !project.root.join("migrations/sqlite/0002_items.up.sql").exists()
    );
    let (code, text) = project.run(&["generate"]);
    assert_eq!((code, &*text), (0, "README.md: stays deleted\nup to date\n"));
}

#[test]
fn the_same_answers_give_the_same_bytes_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("answers.yaml"), ANSWERS).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kennel"))
        .args(["new", "a/b/shop", "--answers", "answers.yaml"])
        .current_dir(folder.path())
        .envs([("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("LANG", "tr_TR.UTF-8")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let other = Project { root: folder.path().join("a/b/shop"), _folder: folder };
    assert_eq!(other.tree(), Project::new(ANSWERS).tree());
}

#[test]
fn a_conflict_is_in_the_file_and_in_the_index_of_git() {
    let project = Project::new(ANSWERS);
    let git = |arguments: &[&str]| {
        let identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"];
        let output = Command::new("git").args(identity).args(arguments).current_dir(&project.root).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "generated"]);
    let file = "crates/storages/src/sql.rs";
    project.replace(file, "SELECT id, text, created_at FROM items WHERE id = ", "SELECT * FROM items WHERE id = ");
    project.replace("kennel.yaml", "name: item", "name: product");
    let (code, text) = project.run(&["generate"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("{file}: conflict: edit it and remove the markers\n")), "{text}");
    assert!(
        project.read(file).contains("SELECT * FROM items WHERE id = ")
            && project.read(file).contains("||||||| original")
    );
    assert_eq!(git(&["ls-files", "-u"]).lines().filter(|line| line.ends_with(file)).count(), 3);
    assert!(git(&["show", &format!(":2:{file}")]).contains("SELECT * FROM items WHERE id = "));

    // Nothing is merged into a conflict; after it is resolved, the update is completed.
    let conflict = project.read(file);
    project.replace("kennel.yaml", "name: product", "name: apple");
    let (code, text) = project.run(&["generate"]);
    assert_eq!(code, 1, "{text}");
    assert_eq!(project.read(file), conflict);
    let pristine = git(&["show", &format!(":3:{file}")]);
    project.write(file, &pristine);
    let (code, text) = project.run(&["generate"]);
    assert_eq!(code, 0, "{text}");
    assert!(project.read(file).contains("INSERT INTO apples"));
}

#[test]
fn ejected_files_are_the_users() {
    let project = Project::new(ANSWERS);
    let (code, text) = project.run(&["eject", "crates/domain"]);
    assert_eq!((code, text.lines().count()), (0, 2), "{text}");
    let before = project.read("crates/domain/src/lib.rs");
    project.replace("kennel.yaml", "name: item", "name: product");
    assert_eq!(project.run(&["generate"]).0, 0);
    assert_eq!(project.read("crates/domain/src/lib.rs"), before);
    let (code, text) = project.run(&["eject", "nothing"]);
    assert_eq!((code, &*text), (70, "error: nothing is not a generated file\n"));
}

#[test]
fn problems_have_exit_codes_and_positions() {
    let project = Project::new(ANSWERS);
    assert_eq!(project.run(&["check"]), (0, "kennel.yaml is valid\n".to_owned()));
    project.replace("kennel.yaml", "rest:", "rset:");
    let before = project.tree();
    for command in [&["check"][..], &["generate"], &["generate", "--dry-run"]] {
        let (code, text) = project.run(command);
        assert_eq!(code, 64, "{text}");
        assert!(text.contains("kennel.yaml:8:1: unknown key `rset`; did you mean `rest`?\n"), "{text}");
    }
    assert_eq!(project.tree(), before);
    assert_eq!(project.run(&["nonsense"]).0, 64);
    assert_eq!(run(project.root.parent().unwrap(), &["generate"]).0, 70);
    let (code, text) = run(project.root.parent().unwrap(), &["new", "shop", "--answers", "answers.yaml"]);
    assert_eq!((code, &*text), (70, "error: shop exists and is not an empty folder\n"));
}

#[test]
fn answers_without_a_platform_use_the_clone_around_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("answers.yaml"), ANSWERS.replace("platform:\n  path: ../kennel\n", "")).unwrap();
    let clone = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let target = folder.path().canonicalize().unwrap().join("shop");
    let answers = folder.path().join("answers.yaml");
    let (code, text) = run(&clone, &["new", target.to_str().unwrap(), "--answers", answers.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let manifest: toml::Table = fs::read_to_string(target.join("Cargo.toml")).unwrap().parse().unwrap();
    let path = manifest["workspace"]["dependencies"]["kennel-core"]["path"].as_str().unwrap();
    let lock = |folder: &Path| fs::read(folder.join("Cargo.lock")).unwrap();
    assert!(lock(&target) == lock(&clone), "its dependencies start with the tested versions");
    assert_eq!(target.join(path).canonicalize().unwrap(), clone.join("crates/platform/core"));
    let applications = |applications: &[&str]| {
        // Cargo reads the whole project.
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
            .current_dir(&target)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let names = metadata["packages"].as_array().unwrap().iter().map(|package| package["name"].as_str().unwrap());
        let found: Vec<_> = names.filter(|name| name.starts_with("shop-web") || *name == "mine").collect();
        assert_eq!(found, applications);
    };
    applications(&["shop-web"]);

    // Also if it has what is left of an application that is not generated any more, and a member of yours.
    let configuration = fs::read_to_string(target.join("kennel.yaml")).unwrap();
    let second = "applications:\n  - name: shop-web2\n    transport: [{name: web}]\n";
    fs::write(target.join("kennel.yaml"), configuration.replace("applications:\n", second)).unwrap();
    assert_eq!(run(&target, &["generate"]).0, 0);
    applications(&["shop-web", "shop-web2"]);
    let own = target.join("apps/shop-web2/src/main.rs");
    let text = format!("// mine\n{}", fs::read_to_string(&own).unwrap());
    fs::write(&own, &text).unwrap();
    let manifest = fs::read_to_string(target.join("Cargo.toml")).unwrap();
    fs::write(target.join("Cargo.toml"), manifest.replace("members = [", "members = [\n    \"mine\",")).unwrap();
    fs::create_dir_all(target.join("mine/src")).unwrap();
    fs::write(target.join("mine/src/lib.rs"), "").unwrap();
    fs::write(target.join("mine/Cargo.toml"), "[package]\nname = \"mine\"\n").unwrap();
    fs::write(target.join("kennel.yaml"), configuration).unwrap();
    let (code, text) = (run(&target, &["generate"]), text);
    assert!(code.0 == 0 && code.1.contains("not generated any more, but changed by you"), "{}", code.1);
    assert_eq!(fs::read_to_string(&own).unwrap(), text);
    applications(&["mine", "shop-web"]);
}

/// The command in the README, in a clone: nothing in the path of the project is the clone's.
#[cfg(unix)]
#[test]
fn a_project_next_to_the_clone_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let clone = folder.path().join("kennel");
    fs::create_dir(&clone).unwrap();
    for name in ["Cargo.toml", "crates", "examples"] {
        std::os::unix::fs::symlink(repository.join(name), clone.join(name)).unwrap();
    }
    let command = "kennel new ../shop --answers examples/shop.yaml";
    for readme in ["README.md", "docs/starter/README.md"] {
        assert!(fs::read_to_string(repository.join(readme)).unwrap().contains(command), "{readme}");
    }
    let arguments: Vec<_> = command.split(' ').skip(1).collect();
    let (code, text) = run(&clone, &arguments);
    assert_eq!(code, 0, "{text}");
    let target = folder.path().join("shop");
    let configuration = fs::read_to_string(target.join("kennel.yaml")).unwrap();
    assert!(configuration.ends_with("\nplatform:\n  path: \"../kennel\"\n"), "{configuration}");
    let manifest: toml::Table = fs::read_to_string(target.join("Cargo.toml")).unwrap().parse().unwrap();
    let path = manifest["workspace"]["dependencies"]["kennel-core"]["path"].as_str().unwrap();
    assert_eq!(path, "../kennel/crates/platform/core");
}

/// Kills the process at many moments; `transaction` has the test that kills it at every step.
#[test]
fn a_killed_update_leaves_the_old_project_or_the_new_one() {
    let project = Project::new(ANSWERS);
    project.replace("kennel.yaml", "name: item", "name: product");
    let changed = project.tree();
    let started = Instant::now();
    assert_eq!(project.run(&["generate"]).0, 0);
    let duration = started.elapsed();
    let new = project.tree();

    let kills = 20;
    for number in 0..kills {
        for path in new.keys().filter(|path| !changed.contains_key(*path)) {
            fs::remove_file(project.root.join(path)).ok();
        }
        for (path, content) in &changed {
            fs::create_dir_all(project.root.join(path).parent().unwrap()).unwrap();
            fs::write(project.root.join(path), content).unwrap();
        }
        let mut process = Command::new(env!("CARGO_BIN_EXE_kennel"))
            .arg("generate")
            .current_dir(&project.root)
            // What a killed process cannot remove is removed with the project.
            .env("TMPDIR", project.root.parent().unwrap())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(duration.mul_f64(0.5) + duration.mul_f64(0.6) * number / kills);
        process.kill().unwrap();
        process.wait().unwrap();
        // Commands that only look at the project leave what was interrupted as it is.
        let interrupted = project.tree();
        let has_journal = project.root.join(".kennel/journal.json").exists();
        for (command, expected) in [(&["drift"][..], 0), (&["generate", "--dry-run"], 2)] {
            let (code, text) = project.run(command);
            if has_journal {
                let expected = "error: an update was interrupted; `kennel generate` completes it\n";
                assert_eq!((code, &*text), (70, expected));
            } else {
                assert!(code == expected || code == 0, "{code}: {text}");
            }
        }
        assert_eq!(project.tree(), interrupted);
        // Any other one completes it first.
        let (code, text) = project.run(&["eject", "nothing"]);
        assert_eq!((code, &*text), (70, "error: nothing is not a generated file\n"));
        let tree = project.tree();
        assert!(tree == changed || tree == new, "kill {number}: {:?}", tree.keys());
    }
}

/// `make run` lets programs listen on all interfaces, so a choice in `.env` must not get lost.
#[cfg(unix)]
#[test]
fn the_settings_of_a_project_say_who_may_call_its_programs() {
    let project = Project::new(&ANSWERS.replace("main:\n", "main:\n  dev_stand: true\n"));
    let auth = |given: Option<&str>| {
        let mut command = Command::new("bash");
        command.args(["docker/with-servers", "", "memory", "env"]).current_dir(&project.root);
        command.env_remove("AUTH").envs(given.map(|given| ("AUTH", given)));
        let printed = String::from_utf8(command.output().unwrap().stdout).unwrap();
        assert!(printed.contains("SERVER_HOST=0.0.0.0\n"), "{printed}");
        printed.lines().find_map(|line| line.strip_prefix("AUTH=").map(str::to_owned))
    };
    assert_eq!((auth(None).as_deref(), auth(Some("jwt")).as_deref()), (Some("none"), Some("jwt")));
    project.write(".env", &format!("{}AUTH=api-key\n", project.read(".env")));
    assert_eq!((auth(None), auth(Some("jwt")).as_deref()), (None, Some("jwt")));
}

#[cfg(unix)]
#[test]
fn only_what_post_generate_lists_is_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let steps = "post_generate: [git_install, executable_scripts]\n";
    let project = Project::new(&format!("{}{steps}", ANSWERS.replace("main:\n", "main:\n  dev_stand: true\n")));
    let mode = |path: &str| fs::metadata(project.root.join(path)).unwrap().permissions().mode() & 0o777;
    assert!(project.root.join(".git").is_dir());
    assert_eq!((mode("docker/with-servers"), mode("Makefile") & 0o111), (0o755, 0));
    // An update writes the script anew.
    project.replace("kennel.yaml", "storage: [sqlite, postgres]", "storage: [sqlite, postgres, mysql]");
    let (code, text) = project.run(&["generate"]);
    assert_eq!((code, mode("docker/with-servers")), (0, 0o755), "{text}");
    let unasked = Project::new(ANSWERS);
    assert!(!unasked.root.join(".git").exists());
}
