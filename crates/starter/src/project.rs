//! A project on disk.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config::Config;
use crate::contract::{self, Contracts, proto};
use crate::generate::{self, Files};
use crate::state::{self, Hash, State};
use crate::transaction::{self, Change};
use crate::update::{self, Update};
use crate::yaml::{self, Problem};
use crate::{check, git, templates};

/// The file that describes a project.
pub const CONFIG: &str = "kennel.yaml";

/// The versions of dependencies with which the platform is tested. A new project starts with them; Cargo removes what it does not use.
const LOCK: &str = include_str!("../../../Cargo.lock");

/// The configuration, or a document that it refers to, is invalid.
#[derive(Debug, thiserror::Error)]
#[error("{} problem(s)", .0.len())]
pub struct Invalid(
    /// The problems, each with its file.
    pub Vec<(String, Problem)>,
);

/// What a project is generated from.
pub struct Input {
    /// The configuration.
    pub config: Config,
    /// The documents that it refers to.
    pub contracts: Contracts,
    /// The texts of all, for the comparison with those of the last update.
    texts: Vec<String>,
}

/// Reads and checks a configuration, and the documents in the folder around it.
pub fn read_input(file: &Path) -> anyhow::Result<Input> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let config = check_text(file, &text)?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let documents = read_documents(folder, &config);
    let contracts = contract::read(&config, &documents).map_err(Invalid)?;
    let texts = std::iter::once(text).chain(documents.into_values()).collect();
    Ok(Input { config, contracts, texts })
}

/// The documents of a configuration, with the files that they import; those that cannot be read are not in it.
fn read_documents(folder: &Path, config: &Config) -> BTreeMap<String, String> {
    let mut documents = BTreeMap::new();
    let mut paths: Vec<_> = config.documents().map(str::to_owned).collect();
    while let Some(path) = paths.pop() {
        if documents.contains_key(&path) {
            continue;
        }
        if let Ok(text) = fs::read_to_string(folder.join(&path)) {
            if path.starts_with(proto::FOLDER) {
                paths.extend(proto::imports(&text));
            }
            documents.insert(path, text);
        }
    }
    documents
}

fn check_text(file: &Path, text: &str) -> Result<Config, Invalid> {
    let file = file.display().to_string();
    check::read(text).map_err(|problems| Invalid(problems.into_iter().map(|problem| (file.clone(), problem)).collect()))
}

/// A project that no other process of `kennel` changes at the same time.
pub struct Project {
    root: PathBuf,
    state: State,
    /// Locked as long as it is open.
    _lock: File,
    /// Files that an update could not change, since they were changed after it was interrupted, or while it ran.
    pub skipped: Vec<String>,
}

/// What `generate` would do.
pub struct Plan {
    /// The changes of the project.
    pub update: Update,
    /// The state after it.
    next: State,
    /// The files as they were read for the plan.
    read: BTreeMap<String, Option<Hash>>,
}

impl Project {
    /// Opens the project in a folder, and completes an interrupted update.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let lock = lock(root)?;
        let skipped = transaction::recover(root)?;
        Ok(Self { root: root.to_owned(), state: State::read(root)?, _lock: lock, skipped })
    }

    /// Opens the project in a folder to look at it. It is an error if an update was interrupted, since the files are then
    /// those of two versions.
    pub fn inspect(root: &Path) -> anyhow::Result<Self> {
        let lock = lock(root)?;
        if transaction::is_interrupted(root)? {
            bail!("an update was interrupted; `kennel generate` completes it");
        }
        Ok(Self { root: root.to_owned(), state: State::read(root)?, _lock: lock, skipped: Vec::new() })
    }

    /// Plans what `generate` would do.
    pub fn plan(&self) -> anyhow::Result<Plan> {
        let Input { config, contracts, texts } = read_input(&self.root.join(CONFIG))?;
        let source = source(&texts);
        let is_current = self.state.source.as_ref() == Some(&source);
        let new = if is_current { self.pristine() } else { generate::files(&config, &contracts)? };
        // Every file is read once, so that all decisions are about the same content.
        let contents = RefCell::new(BTreeMap::new());
        let read = |path: &str| contents.borrow_mut().entry(path.to_owned()).or_insert_with(|| self.read(path)).clone();
        let update = update::plan(&self.state.base, &read, &new);
        // After an incomplete update, the files have to be rendered again.
        let source = if update.is_incomplete { Hash::of(b"") } else { source };
        let next = State { source: Some(source), base: update.base.clone() };
        let hash = |(path, content): (String, Option<Vec<u8>>)| (path, content.map(|content| Hash::of(&content)));
        Ok(Plan { update, next, read: contents.into_inner().into_iter().map(hash).collect() })
    }

    /// The files as they were generated last: rendering the same again would give the same.
    fn pristine(&self) -> Files {
        let file = |(path, pristine): (&String, &state::Pristine)| {
            (path.clone(), generate::File { id: pristine.id.clone(), text: pristine.text.clone() })
        };
        self.state.base.iter().map(file).collect()
    }

    /// The user's file at a path.
    pub fn read(&self, path: &str) -> Option<Vec<u8>> {
        fs::read(self.root.join(path)).ok()
    }

    /// Applies a plan, completely or not at all. Returns what it did.
    pub fn apply(&mut self, plan: Plan) -> anyhow::Result<Update> {
        let Plan { update, next, read } = plan;
        let change = |(path, content): (&String, &Option<Vec<u8>>)| Change {
            path: path.clone(),
            content: content.clone(),
            before: read.get(path).cloned().flatten(),
        };
        let state = next.changes(&self.state, &self.root)?;
        let changes: Vec<_> = update.changes.iter().map(change).chain(state).collect();
        self.skipped = transaction::apply(&self.root, &changes)?;
        self.state = next;
        if !update.conflicts.is_empty() {
            // The markers in the files are what counts; the index is a convenience.
            if let Err(error) = git::mark_unmerged(&self.root, &update.conflicts) {
                eprintln!("warning: conflicts are not in the index of Git: {error}");
            }
        }
        Ok(update)
    }

    /// Stops the update of a file, or of those in a folder. Returns them.
    pub fn eject(&mut self, path: &str) -> anyhow::Result<Vec<String>> {
        let selected: Vec<_> = state::select(&self.state.base, path).into_iter().map(str::to_owned).collect();
        if selected.is_empty() {
            bail!("{path} is not a generated file");
        }
        let mut next = self.state.clone();
        for (path, pristine) in &mut next.base {
            pristine.ejected |= selected.contains(path);
        }
        self.skipped = transaction::apply(&self.root, &next.changes(&self.state, &self.root)?)?;
        self.state = next;
        Ok(selected)
    }

    /// The generated files that differ from what was generated, with both versions.
    pub fn drift(&self) -> BTreeMap<String, (String, Option<Vec<u8>>)> {
        let files = self.state.base.iter().map(|(path, pristine)| (path, &pristine.text, self.read(path)));
        let changed = files.filter(|(_, text, current)| {
            let current = current.as_ref().map(|bytes| String::from_utf8_lossy(bytes).replace("\r\n", "\n"));
            current.as_ref() != Some(*text)
        });
        changed.map(|(path, text, current)| (path.clone(), (text.clone(), current))).collect()
    }
}

fn lock(root: &Path) -> anyhow::Result<File> {
    let file = root.join(CONFIG);
    let lock =
        File::open(&file).with_context(|| format!("{} is not a project: cannot open {CONFIG}", root.display()))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => bail!("another kennel is running in {}", root.display()),
        Err(TryLockError::Error(error)) => Err(error).context("cannot lock the project"),
    }
}

/// What files are generated from: the configuration, the documents, the templates and the code that fills them in.
fn source(texts: &[String]) -> Hash {
    let mut all = texts.join("\0");
    for input in templates::inputs() {
        all.push('\0');
        all.push_str(input);
    }
    Hash::of(all.as_bytes())
}

/// Creates a project in a folder that is empty or does not exist, from a file with answers, which becomes its
/// configuration; the documents that it refers to are copied from the same folder. Without `platform`, the answers get the clone of Kennel around the folder, or around the working
/// directory.
pub fn create(folder: &Path, answers: &Path) -> anyhow::Result<Update> {
    let text = fs::read_to_string(answers).with_context(|| format!("cannot read {}", answers.display()))?;
    create_from(folder, answers, text)
}

/// What [`create`] does with the text of the answers, which need not be in the file yet.
pub fn create_from(folder: &Path, answers: &Path, text: String) -> anyhow::Result<Update> {
    let absolute = check_new(folder)?;
    let parent = absolute.parent().context("a project cannot be in the root folder")?;
    let text = with_platform(text, &absolute)?;
    let config = check_text(answers, &text)?;
    fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let temporary = tempfile::Builder::new().prefix(".kennel-new-").tempdir_in(parent)?;
    let root = temporary.path().join("project");
    fs::create_dir(&root)?;
    fs::write(root.join(CONFIG), text)?;
    for (path, text) in read_documents(answers.parent().unwrap_or(Path::new("")), &config) {
        let file = root.join(path);
        fs::create_dir_all(file.parent().unwrap_or(&root))?;
        fs::write(file, text)?;
    }
    if !config.platform.workspace {
        fs::write(root.join("Cargo.lock"), LOCK)?;
    }
    let mut project = Project::open(&root)?;
    let plan = project.plan()?;
    let update = project.apply(plan)?;
    fs::rename(&root, &absolute).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(update)
}

/// The absolute path of a folder that can become a project: it is empty or does not exist.
pub fn check_new(folder: &Path) -> anyhow::Result<PathBuf> {
    let absolute = resolve(folder)?;
    let is_empty = fs::read_dir(&absolute).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty || absolute.is_file() {
        bail!("{} exists and is not an empty folder", folder.display());
    }
    Ok(absolute)
}

/// The absolute path without links and `..`, also of a folder that does not exist yet.
fn resolve(folder: &Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(folder)?;
    let existing = absolute.ancestors().find_map(|ancestor| Some((ancestor, ancestor.canonicalize().ok()?)));
    let (ancestor, mut resolved) = existing.with_context(|| format!("{} has no root folder", folder.display()))?;
    for component in absolute.strip_prefix(ancestor)?.components() {
        if component == Component::ParentDir {
            resolved.pop();
        } else {
            resolved.push(component);
        }
    }
    Ok(resolved)
}

fn with_platform(text: String, folder: &Path) -> anyhow::Result<String> {
    if yaml::parse(&text).map_or(true, |root| root.get("platform").is_some()) {
        return Ok(text);
    }
    let working = std::env::current_dir()?.canonicalize()?;
    let is_clone = |folder: &&Path| folder.join("crates/platform/service/Cargo.toml").is_file();
    let Some(clone) = folder.ancestors().find(is_clone).or_else(|| working.ancestors().find(is_clone)) else {
        return Ok(text);
    };
    let path = relative(folder, clone);
    Ok(format!("{}\nplatform:\n  path: {}\n", text.trim_end(), serde_json::to_string(&path)?))
}

/// The path of `target` from `folder`, both absolute and without `..`.
fn relative(folder: &Path, target: &Path) -> String {
    let common = folder.components().zip(target.components()).take_while(|(one, other)| one == other).count();
    let up = folder.components().skip(common).map(|_| "..".to_owned());
    let down = target.components().skip(common).map(|part| part.as_os_str().to_string_lossy().into_owned());
    let parts: Vec<_> = up.chain(down).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_from_one_folder_to_another() {
        let relative = |folder: &str, target: &str| super::relative(Path::new(folder), Path::new(target));
        assert_eq!(relative("/a/b/c", "/a/d"), "../../d");
        assert_eq!(relative("/a/b", "/a"), "..");
        assert_eq!(relative("/a", "/a/b"), "b");
        assert_eq!(relative("/a", "/a"), ".");
    }

    #[test]
    fn a_save_between_the_plan_and_its_application_stays() {
        let folder = tempfile::tempdir().unwrap();
        let (root, answers) = (folder.path().join("shop"), folder.path().join("answers.yaml"));
        let text = "main: {name: shop}\nplatform: {path: ../kennel}\nentity: {name: item}\nrest: [{name: web}]\n\
                    applications: [{name: shop-web, transport: [{name: web}]}]\n";
        fs::write(&answers, text).unwrap();
        create(&root, &answers).unwrap();
        fs::write(root.join(CONFIG), text.replace("item", "product")).unwrap();
        let mut project = Project::open(&root).unwrap();
        let plan = project.plan().unwrap();
        let (changed, other) = (root.join("crates/domain/src/lib.rs"), root.join("crates/storages/src/sql.rs"));
        let before = fs::read(&other).unwrap();
        fs::write(&changed, "saved").unwrap();
        let error = project.apply(plan).unwrap_err().to_string();
        assert!(error.starts_with("crates/domain/src/lib.rs was changed during the update"), "{error}");
        assert_eq!((fs::read(&changed).unwrap(), fs::read(&other).unwrap()), (b"saved".to_vec(), before));
        // The next update is about what was saved.
        let plan = project.plan().unwrap();
        assert!(!project.apply(plan).unwrap().conflicts.is_empty());
    }

    #[test]
    fn a_path_is_resolved_before_its_folder_exists() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir(root.join("a")).unwrap();
        assert_eq!(resolve(&root.join("a/../b/c")).unwrap(), root.join("b/c"));
        assert_eq!(resolve(&root.join("b/../c")).unwrap(), root.join("c"));
        assert_eq!(resolve(&root.join("a/.")).unwrap(), root.join("a"));
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(root.join("a"), root.join("link")).unwrap();
            assert_eq!(resolve(&root.join("link/b")).unwrap(), root.join("a/b"));
        }
    }
}
