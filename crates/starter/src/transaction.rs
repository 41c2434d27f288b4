//! Changes the files of a project completely or not at all, also if the process is killed.
//!
//! New contents are written to a folder next to the project's files. Then a journal with all changes appears, by a rename:
//! before it, the project is the old one; from then on, it is the new one. [`recover`] completes what a journal lists.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::state::Hash;

/// A change of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Where it is in the project.
    pub path: String,
    /// The new content; `None` removes the file.
    pub content: Option<Vec<u8>>,
    /// The content that the change was planned for; `None` if there was no file.
    pub before: Option<Hash>,
}

impl Change {
    /// A change of what is at the path now.
    pub fn of(root: &Path, path: String, content: Option<Vec<u8>>) -> anyhow::Result<Self> {
        let before = current(&target(root, &path)?, &path)?;
        Ok(Self { path, content, before })
    }
}

const STAGED: &str = ".kennel/staged";
const JOURNAL: &str = ".kennel/journal.json";

/// A step of the journal.
#[derive(Serialize, Deserialize)]
struct Step {
    path: String,
    /// The file in [`STAGED`] to move there; `None` removes the file.
    staged: Option<usize>,
    /// The content before the change; `None` if there was no file.
    before: Option<Hash>,
}

/// Applies the changes. Nothing is changed if a file is not what its change was planned for. Returns the files that were
/// changed by somebody else at the last moment, and therefore stay as they are.
pub fn apply(root: &Path, changes: &[Change]) -> anyhow::Result<Vec<String>> {
    apply_until(root, changes, &mut |_| Ok(()))
}

/// Calls `step` before each change of the disk, which ends the transaction there with an error, as a crash would.
fn apply_until(
    root: &Path,
    changes: &[Change],
    step: &mut dyn FnMut(&str) -> io::Result<()>,
) -> anyhow::Result<Vec<String>> {
    if changes.is_empty() {
        return Ok(Vec::new());
    }
    for Change { path, before, .. } in changes {
        if current(&target(root, path)?, path)? != *before {
            bail!("{path} was changed during the update, of which nothing is written; run the command again");
        }
    }
    let staged = target(root, STAGED)?;
    step("create the folder")?;
    fs::create_dir_all(&staged).context(STAGED)?;
    let mut steps = Vec::new();
    for (index, change) in changes.iter().enumerate() {
        if let Some(content) = &change.content {
            step(&change.path)?;
            let file = staged.join(index.to_string());
            fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
            if let Ok(metadata) = fs::metadata(target(root, &change.path)?) {
                fs::set_permissions(&file, metadata.permissions()).context("cannot copy permissions")?;
            }
        }
        let staged = change.content.as_ref().map(|_| index);
        steps.push(Step { path: change.path.clone(), staged, before: change.before.clone() });
    }
    let journal = serde_json::to_vec(&steps)?;
    step("write the journal")?;
    fs::write(staged.join("journal"), journal).context(JOURNAL)?;
    step("commit")?;
    fs::rename(staged.join("journal"), root.join(JOURNAL)).context(JOURNAL)?;
    complete(root, &steps, step)
}

/// Whether a transaction was interrupted that [`recover`] would complete.
pub fn is_interrupted(root: &Path) -> anyhow::Result<bool> {
    fs::exists(target(root, JOURNAL)?).context(JOURNAL)
}

/// Completes an interrupted transaction, or removes what is left of one that did not happen. Returns the files that were
/// changed by somebody else after the interruption, and therefore stay as they are.
pub fn recover(root: &Path) -> anyhow::Result<Vec<String>> {
    if !is_interrupted(root)? {
        remove_folder(&target(root, STAGED)?)?;
        return Ok(Vec::new());
    }
    let journal = fs::read(root.join(JOURNAL)).context(JOURNAL)?;
    let steps: Vec<Step> = serde_json::from_slice(&journal).with_context(|| format!("{JOURNAL} is damaged"))?;
    complete(root, &steps, &mut |_| Ok(()))
}

fn complete(root: &Path, steps: &[Step], step: &mut dyn FnMut(&str) -> io::Result<()>) -> anyhow::Result<Vec<String>> {
    let mut skipped = Vec::new();
    for Step { path, staged, before } in steps {
        let target = target(root, path)?;
        let file = staged.map(|index| root.join(STAGED).join(index.to_string()));
        if file.as_ref().is_some_and(|file| !file.exists()) {
            continue; // it was moved before an interruption
        }
        let current = current(&target, path)?;
        if current != *before {
            if current.is_some() || file.is_some() {
                skipped.push(path.clone());
            }
            continue;
        }
        step(path)?;
        match file {
            Some(file) => {
                if let Some(folder) = target.parent() {
                    fs::create_dir_all(folder).with_context(|| format!("cannot create the folder of {path}"))?;
                }
                fs::rename(file, &target).with_context(|| format!("cannot replace {path}"))?;
            }
            None if current.is_some() => {
                fs::remove_file(&target).with_context(|| format!("cannot remove {path}"))?;
                remove_empty_folders(root, &target);
            }
            None => {}
        }
    }
    step("remove the journal")?;
    fs::remove_file(root.join(JOURNAL)).context(JOURNAL)?;
    step("remove the folder")?;
    remove_folder(&root.join(STAGED))?;
    Ok(skipped)
}

/// The file of a path, which must be below the root, also after links are followed.
fn target(root: &Path, path: &str) -> anyhow::Result<PathBuf> {
    let relative = Path::new(path);
    if !relative.components().all(|component| matches!(component, Component::Normal(_))) {
        bail!("`{path}` is not a path in the project");
    }
    let mut target = root.to_owned();
    for component in relative {
        target.push(component);
        if target.is_symlink() {
            let link = target.strip_prefix(root)?.display();
            bail!("{link} is a symbolic link, and kennel writes to none; eject what is there: kennel eject {link}");
        }
    }
    Ok(target)
}

/// The hash of the file of a path; `None` if there is none.
fn current(file: &Path, path: &str) -> anyhow::Result<Option<Hash>> {
    match fs::read(file) {
        Ok(content) => Ok(Some(Hash::of(&content))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).context(path.to_owned()),
    }
}

fn remove_folder(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Removes the folders of a removed file that are empty now.
fn remove_empty_folders(root: &Path, file: &Path) {
    for folder in file.ancestors().skip(1).take_while(|folder| *folder != root) {
        if fs::remove_dir(folder).is_err() {
            break;
        }
    }
}

#[cfg(test)]
mod tests;
