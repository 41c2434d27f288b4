//! Stores an object: writes a temporary file, then renames it to its path.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kennel_core::ObjectKey;
use kennel_core::objects::{ObjectMeta, sniff};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use super::layout::{Layout, present, read_meta, sync_parent, trailer};

/// Number of bytes that are passed to [`sniff`].
const SNIFF_BYTES: usize = 16;
/// Attempts to publish an object while other processes remove its folder because it is empty.
const MAX_ATTEMPTS: usize = 16;

static TEMP_FILE_COUNTER: AtomicU64 = AtomicU64::new(0);

/// A temporary file. Dropping it removes the file, unless it was renamed.
struct TempFile(PathBuf);

impl Drop for TempFile {
    fn drop(&mut self) {
        // If this fails, a later start removes the file.
        let _missing = fs::remove_file(&self.0);
    }
}

fn create_temp_file(folder: &Path) -> io::Result<(TempFile, fs::File)> {
    loop {
        let path = folder.join(format!("{}-{}", process::id(), TEMP_FILE_COUNTER.fetch_add(1, Ordering::Relaxed)));
        match fs::File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((TempFile(path), file)),
            // A leftover of an earlier process with the same process id.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// An object being written.
pub(super) struct Upload {
    temp_file: TempFile,
    file: File,
    size: u64,
    head: Vec<u8>,
}

impl Upload {
    pub(super) async fn create(layout: Arc<Layout>) -> io::Result<Self> {
        // The file and its removal on drop are created together, because this future may be dropped at any time.
        let created = tokio::task::spawn_blocking(move || create_temp_file(layout.incoming()));
        let (temp_file, file) = created.await.map_err(io::Error::other)??;
        Ok(Self { temp_file, file: File::from_std(file), size: 0, head: Vec::new() })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) async fn write(&mut self, chunk: &[u8]) -> io::Result<()> {
        let missing = SNIFF_BYTES.saturating_sub(self.head.len());
        self.head.extend(chunk.iter().take(missing));
        self.file.write_all(chunk).await?;
        self.size += chunk.len() as u64;
        Ok(())
    }

    /// Writes the trailer and syncs the file to disk.
    pub(super) async fn finish(mut self, content_type: Option<&str>) -> io::Result<CompleteFile> {
        let content_type = content_type.or_else(|| sniff(&self.head)).unwrap_or("application/octet-stream");
        self.file.write_all(&trailer(content_type)?).await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(CompleteFile { temp_file: self.temp_file, file: self.file.into_std().await })
    }
}

/// A complete object that is not at its path yet.
pub(super) struct CompleteFile {
    temp_file: TempFile,
    file: fs::File,
}

impl CompleteFile {
    /// Moves the object to its path. Returns the metadata of the object there, which with `skip_existing` may be
    /// another one.
    pub(super) fn publish(mut self, layout: &Layout, key: &ObjectKey, skip_existing: bool) -> io::Result<ObjectMeta> {
        let path = layout.path(key);
        let _folders = layout.lock_folders();
        for _ in 0..MAX_ATTEMPTS {
            if present(layout.create_folders(&path))?.is_none() {
                continue;
            }
            // Unlike a rename, a hard link fails if the path exists.
            let published = if skip_existing {
                fs::hard_link(&self.temp_file.0, &path)
            } else {
                fs::rename(&self.temp_file.0, &path)
            };
            match published {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if let Some((existing, _)) = layout.read(key)? {
                        return Ok(existing);
                    }
                }
                published => {
                    if present(published)?.is_some() && present(sync_parent(&path))?.is_some() {
                        return read_meta(key, &mut self.file);
                    }
                }
            }
        }
        Err(io::Error::other("another process keeps removing the object's folder"))
    }
}
