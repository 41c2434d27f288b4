//! An object on its way in: written aside, then renamed to its place.

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

/// The most bytes that [`sniff`] looks at.
const SNIFFED: usize = 16;
/// How often another process may remove the folder of a new object, as empty, before that is an error.
const ATTEMPTS: usize = 16;

static COUNT: AtomicU64 = AtomicU64::new(0);

/// Removes the file on drop, however the put ends; a rename has moved it away by then.
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        // What stays is removed as a leftover at a later start.
        let _gone = fs::remove_file(&self.0);
    }
}

fn create_aside(folder: &Path) -> io::Result<(Aside, fs::File)> {
    loop {
        let path = folder.join(format!("{}-{}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
        match fs::File::options().read(true).write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((Aside(path), file)),
            // An earlier process of this number has left it.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// An object being written.
pub(super) struct Incoming {
    aside: Aside,
    file: File,
    size: u64,
    head: Vec<u8>,
}

impl Incoming {
    pub(super) async fn create(layout: Arc<Layout>) -> io::Result<Self> {
        // In one piece with its removal on drop: this future may be dropped at any time.
        let created = tokio::task::spawn_blocking(move || create_aside(layout.incoming()));
        let (aside, file) = created.await.map_err(io::Error::other)??;
        Ok(Self { aside, file: File::from_std(file), size: 0, head: Vec::new() })
    }

    pub(super) const fn size(&self) -> u64 {
        self.size
    }

    pub(super) async fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        let missing = SNIFFED.saturating_sub(self.head.len());
        self.head.extend(piece.iter().take(missing));
        self.file.write_all(piece).await?;
        self.size += piece.len() as u64;
        Ok(())
    }

    /// Brings the whole object to the disk.
    pub(super) async fn finish(mut self, content_type: Option<&str>) -> io::Result<Complete> {
        let content_type = content_type.or_else(|| sniff(&self.head)).unwrap_or("application/octet-stream");
        self.file.write_all(&trailer(content_type)?).await?;
        self.file.flush().await?;
        self.file.sync_all().await?;
        Ok(Complete { aside: self.aside, file: self.file.into_std().await })
    }
}

/// An object that is written whole, but not in its place.
pub(super) struct Complete {
    aside: Aside,
    file: fs::File,
}

impl Complete {
    /// Puts it in its place. Answers what is there then: with `skip_existing`, maybe another's.
    pub(super) fn publish(mut self, layout: &Layout, key: &ObjectKey, skip_existing: bool) -> io::Result<ObjectMeta> {
        let path = layout.path(key);
        let _folders = layout.keep_folders();
        for _ in 0..ATTEMPTS {
            if present(layout.make_folders(&path))?.is_none() {
                continue;
            }
            // A link, unlike a rename, fails when the name is taken.
            let placed =
                if skip_existing { fs::hard_link(&self.aside.0, &path) } else { fs::rename(&self.aside.0, &path) };
            match placed {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    if let Some((existing, _)) = layout.read(key)? {
                        return Ok(existing);
                    }
                }
                placed => {
                    if present(placed)?.is_some() && present(sync_parent(&path))?.is_some() {
                        return read_meta(key, &mut self.file);
                    }
                }
            }
        }
        Err(io::Error::other("the object's folder keeps vanishing"))
    }
}
