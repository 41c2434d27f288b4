//! Paths and file format of objects. All functions block.

use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kennel_core::objects::ObjectMeta;
use kennel_core::{ObjectKey, Timestamp};

/// Suffix of folder names; not allowed in keys.
pub(super) const FOLDER_MARK: char = '@';
/// Folder of temporary files; no key starts with a dot.
const INCOMING: &str = ".incoming";
/// A file in `.incoming` that was not modified for this long is a leftover of a crash.
const LEFTOVER_AGE: Duration = Duration::from_hours(1);

/// Paths below one root.
#[derive(Debug)]
pub(super) struct Layout {
    /// Canonical path, without links and dots.
    root: PathBuf,
    incoming: PathBuf,
    folders: RwLock<()>,
}

impl Layout {
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        let root = root.canonicalize()?;
        let incoming = root.join(INCOMING);
        create_folder(&incoming)?;
        Ok(Self { root, incoming, folders: RwLock::default() })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn incoming(&self) -> &Path {
        &self.incoming
    }

    pub(super) fn check(&self) -> io::Result<()> {
        refuse_links(&self.incoming)
    }

    pub(super) fn remove_leftovers(&self, now: Timestamp) -> io::Result<()> {
        for entry in fs::read_dir(&self.incoming)? {
            let entry = entry?;
            let Some(metadata) = present(entry.metadata())? else {
                continue;
            };
            if metadata.is_file() && now.since(timestamp(metadata.modified()?)?) > LEFTOVER_AGE {
                present(fs::remove_file(entry.path()))?;
            }
        }
        Ok(())
    }

    /// Returns the path of the file of `key`.
    pub(super) fn path(&self, key: &ObjectKey) -> PathBuf {
        let mut path = self.root.clone();
        let mut segments = key.as_str().split('/').peekable();
        while let Some(segment) = segments.next() {
            if segments.peek().is_some() {
                path.push(format!("{segment}{FOLDER_MARK}"));
            } else {
                path.push(segment);
            }
        }
        path
    }

    /// Prevents this process from removing empty folders while the guard exists; other processes still can.
    pub(super) fn lock_folders(&self) -> RwLockReadGuard<'_, ()> {
        self.folders.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates the folders of `path`, and syncs each one before it creates the next.
    pub(super) fn create_folders(&self, path: &Path) -> io::Result<()> {
        let folders: Vec<_> = self.folders(path).collect();
        folders.into_iter().rev().try_for_each(create_folder)
    }

    /// Opens the file of `key` and reads the metadata.
    pub(super) fn read(&self, key: &ObjectKey) -> io::Result<Option<(ObjectMeta, File)>> {
        let path = self.path(key);
        if present(refuse_links(&path))?.is_none() {
            return Ok(None);
        }
        let Some(mut file) = present(File::open(&path))? else {
            return Ok(None);
        };
        let meta = read_meta(key, &mut file)?;
        Ok(Some((meta, file)))
    }

    pub(super) fn remove(&self, key: &ObjectKey) -> io::Result<bool> {
        let path = self.path(key);
        if present(refuse_links(&path))?.is_none() || present(fs::remove_file(&path))?.is_none() {
            return Ok(false);
        }
        let _lock = self.folders.write().unwrap_or_else(PoisonError::into_inner);
        for folder in self.folders(&path) {
            if fs::remove_dir(folder).is_err() {
                // It is not empty, or another process removed it.
                break;
            }
        }
        Ok(true)
    }

    /// Returns the parent folders of `path`, innermost first, without the root.
    fn folders<'a>(&'a self, path: &'a Path) -> impl Iterator<Item = &'a Path> {
        path.ancestors().skip(1).take_while(|folder| *folder != self.root)
    }
}

/// Returns `None` when the file does not exist.
pub(super) fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn create_folder(folder: &Path) -> io::Result<()> {
    match fs::create_dir(folder) {
        Ok(()) => sync_parent(folder),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => refuse_links(folder),
        Err(error) => Err(error),
    }
}

/// Fails when a component of `path` is a symbolic link, which could lead out of the root.
fn refuse_links(path: &Path) -> io::Result<()> {
    if path.canonicalize()? == path {
        return Ok(());
    }
    Err(io::Error::other("the object's path contains a symbolic link"))
}

/// Syncs the parent folder of `path`, so that the name of `path` is durable.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Returns the trailer, which follows the bytes of an object in its file.
pub(super) fn trailer(content_type: &str) -> io::Result<Vec<u8>> {
    let length = u8::try_from(content_type.len()).map_err(|_| io::Error::other("content type is too long"))?;
    let mut trailer = content_type.as_bytes().to_vec();
    trailer.push(length);
    Ok(trailer)
}

/// The file has no trailer, as when another program cut it off.
#[derive(Debug, thiserror::Error)]
#[error("file of `{0}` is not an object")]
pub(super) struct Damaged(pub(super) ObjectKey);

/// Reads the metadata of the object in `file`. Fails with [`Damaged`].
pub(super) fn read_meta(key: &ObjectKey, file: &mut File) -> io::Result<ObjectMeta> {
    let metadata = file.metadata()?;
    let start = metadata.len().saturating_sub(1 + u64::from(u8::MAX));
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::with_capacity(1 + usize::from(u8::MAX));
    file.read_to_end(&mut tail)?;
    let content_type = content_type(&tail).ok_or_else(|| io::Error::other(Damaged(key.clone())))?;
    Ok(ObjectMeta {
        key: key.clone(),
        size: metadata.len() - content_type.len() as u64 - 1,
        content_type: content_type.to_owned(),
        modified: timestamp(metadata.modified()?)?,
    })
}

fn content_type(tail: &[u8]) -> Option<&str> {
    let (&length, before) = tail.split_last()?;
    let start = before.len().checked_sub(usize::from(length))?;
    std::str::from_utf8(&before[start..]).ok().filter(|text| text.contains('/'))
}

fn timestamp(time: SystemTime) -> io::Result<Timestamp> {
    let millis = time.duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_millis();
    let millis = i64::try_from(millis).map_err(io::Error::other)?;
    Timestamp::from_millis(millis).map_err(io::Error::other)
}
