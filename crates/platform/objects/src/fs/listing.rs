//! Lists keys in order, one folder at a time. All functions block.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use kennel_core::ObjectKey;
use kennel_core::objects::ObjectMeta;

use super::layout::{FOLDER_MARK, Layout, present, read_meta};

/// Returns up to `limit` objects whose keys start with `prefix` and are greater than `after`, in key order.
///
/// Memory: the result, and the names in the folders on the path to the current key.
pub(super) fn list(
    layout: &Layout,
    prefix: &str,
    after: Option<&ObjectKey>,
    limit: usize,
) -> io::Result<Vec<ObjectMeta>> {
    let after = after.map_or("", ObjectKey::as_str);
    let mut scan = Scan { prefix, after, limit, found: Vec::new() };
    scan.folder(layout.root(), "")?;
    Ok(scan.found)
}

struct Scan<'a> {
    prefix: &'a str,
    after: &'a str,
    limit: usize,
    found: Vec<ObjectMeta>,
}

/// A file or a folder. The `key` of a folder ends in `/`, so that entries sort like the keys of their objects.
struct FolderEntry {
    key: String,
    path: PathBuf,
}

impl Scan<'_> {
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

    /// Returns the entries of a folder that may match, unordered.
    fn entries(&self, folder: &Path, folder_key: &str) -> io::Result<Vec<FolderEntry>> {
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
            if self.may_match(&key) {
                entries.push(FolderEntry { key, path: entry.path() });
            }
        }
        Ok(entries)
    }

    /// Returns whether `key`, or a key in the folder `key`, can be in the result.
    fn may_match(&self, key: &str) -> bool {
        let is_folder = key.ends_with('/');
        let starts = key.starts_with(self.prefix) || (is_folder && self.prefix.starts_with(key));
        let is_after = key > self.after || (is_folder && self.after.starts_with(key));
        starts && is_after
    }

    /// Adds the object of a file, unless the file was removed or is not an object.
    fn file(&mut self, entry: &FolderEntry) -> io::Result<()> {
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
