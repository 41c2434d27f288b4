//! Keys in order, one folder at a time. Blocking.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kennel_core::ObjectKey;
use kennel_core::objects::ObjectMeta;

use super::layout::{FOLDER_MARK, Layout, present, read_meta};

/// Up to `limit` objects whose keys start with `prefix`, by key, behind `after`.
///
/// In memory are the names in the folders on the way to the present key, and the answer.
pub(super) fn list(
    layout: &Layout,
    prefix: &str,
    after: Option<&ObjectKey>,
    limit: usize,
) -> io::Result<Vec<ObjectMeta>> {
    let after = after.map_or("", ObjectKey::as_str);
    let mut walk = Walk { prefix, after, limit, found: Vec::new() };
    walk.folder(layout.root(), "")?;
    Ok(walk.found)
}

struct Walk<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
    found: Vec<ObjectMeta>,
}

/// A file, or a folder, whose `key` then ends in `/`. By their keys they sort as the keys in them do.
struct Entry {
    key: String,
    path: PathBuf,
}

impl Walk<'_> {
    fn folder(&mut self, path: &Path, key: &str) -> io::Result<()> {
        let Some(mut entries) = present(self.entries(path, key))? else {
            return Ok(());
        };
        entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        for entry in entries {
            if self.found.len() >= self.limit {
                break;
            }
            if entry.key.ends_with('/') {
                self.folder(&entry.path, &entry.key)?;
            } else {
                self.file(&entry)?;
            }
        }
        Ok(())
    }

    /// What is of use in a folder, in no order.
    fn entries(&self, folder: &Path, folder_key: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            let Some(name) = name.to_str() else { continue };
            let key = match name.strip_suffix(FOLDER_MARK) {
                Some(name) if kind.is_dir() => format!("{folder_key}{name}/"),
                None if kind.is_file() => format!("{folder_key}{name}"),
                _ => continue,
            };
            if self.concerns(&key) {
                entries.push(Entry { key, path: entry.path() });
            }
        }
        Ok(entries)
    }

    /// Whether `key`, or one in the folder `key`, can be part of the answer.
    fn concerns(&self, key: &str) -> bool {
        let is_folder = key.ends_with('/');
        let starts = key.starts_with(self.prefix) || (is_folder && self.prefix.starts_with(key));
        let is_behind = key > self.after || (is_folder && self.after.starts_with(key));
        starts && is_behind
    }

    /// Adds the object of a file, unless the file is gone or is none of the store's.
    fn file(&mut self, entry: &Entry) -> io::Result<()> {
        let Ok(key) = entry.key.parse::<ObjectKey>() else {
            return Ok(());
        };
        let Some(mut file) = present(File::open(&entry.path))? else {
            return Ok(());
        };
        self.found.extend(read_meta(&key, &mut file).ok());
        Ok(())
    }
}
