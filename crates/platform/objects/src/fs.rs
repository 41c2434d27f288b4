//! Objects in a directory.
//!
//! An object is one file: its bytes, its content type, and the length of that type in one byte. So one rename replaces
//! bytes and metadata together, and an image still opens in a viewer. Names of the folders of a key end in `@`, so that
//! `a` and `a/b` can both exist. A new object is written to `.incoming`, synced to disk, and renamed to its path. Files
//! that a crash leaves in `.incoming` are removed at a later start.
//!
//! Symbolic links below the root are rejected.

mod layout;
mod listing;
mod upload;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{Clock, ObjectKey, ObjectStore};

use self::layout::{Damaged, Layout};
use self::upload::Upload;

/// Size of a chunk when an object is read, in bytes.
const CHUNK_BYTES: u64 = 128 * 1024;

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct FsObjects {
    layout: Arc<Layout>,
}

impl FsObjects {
    /// Opens the store under `root`, which is created if it does not exist. Removes old temporary files.
    pub async fn open(root: &Path, clock: &dyn Clock) -> Result<Self, ObjectError> {
        let (root, now) = (root.to_owned(), clock.now());
        let layout = blocking(move || {
            let layout = Layout::open(&root)?;
            layout.remove_leftovers(now)?;
            Ok(layout)
        });
        Ok(Self { layout: Arc::new(layout.await?) })
    }

    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Layout) -> io::Result<T> + Send + 'static,
    ) -> Result<T, ObjectError> {
        let layout = Arc::clone(&self.layout);
        blocking(move || work(&layout)).await
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(classify),
        Err(panicked) => Err(ObjectError::Backend(panicked.into())),
    }
}

/// Converts an I/O error, by whether a retry may succeed.
fn classify(error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    if let Some(Damaged(key)) = error.get_ref().and_then(|cause| cause.downcast_ref()) {
        return ObjectError::Damaged(key.clone());
    }
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::TimedOut | Kind::ReadOnlyFilesystem | Kind::ResourceBusy => {
            ObjectError::Unavailable(error.into())
        }
        _ => ObjectError::Backend(error.into()),
    }
}

/// The bytes of a file that were not read yet.
struct Rest {
    file: File,
    length: u64,
}

impl Rest {
    /// The `range` of a file with `size` bytes, as far as it exists.
    fn new(mut file: File, range: Range<u64>, size: u64) -> io::Result<Self> {
        let start = range.start.min(size);
        file.seek(SeekFrom::Start(start))?;
        Ok(Self { file, length: range.end.min(size).saturating_sub(start) })
    }

    /// The next chunk; `None` at the end.
    fn read(&mut self) -> io::Result<Option<Bytes>> {
        let length = self.length.min(CHUNK_BYTES);
        if length == 0 {
            return Ok(None);
        }
        let mut chunk = Vec::with_capacity(usize::try_from(length).map_err(io::Error::other)?);
        self.file.by_ref().take(length).read_to_end(&mut chunk)?;
        if chunk.len() as u64 != length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.length -= length;
        Ok(Some(chunk.into()))
    }
}

#[async_trait]
impl ObjectStore for FsObjects {
    async fn put(
        &self,
        key: &ObjectKey,
        mut body: ByteStream,
        options: &PutOptions,
    ) -> Result<ObjectMeta, ObjectError> {
        if options.skip_existing
            && let Some(existing) = self.head(key).await?
        {
            return Ok(existing);
        }
        let mut upload = Upload::create(Arc::clone(&self.layout)).await.map_err(classify)?;
        while let Some(chunk) = body.next().await {
            let chunk = chunk?;
            if upload.size().saturating_add(chunk.len() as u64) > options.max_bytes {
                return Err(ObjectError::TooLarge { limit: options.max_bytes });
            }
            upload.write(&chunk).await.map_err(classify)?;
        }
        let complete = upload.finish(options.content_type.as_deref()).await.map_err(classify)?;
        let (key, skip_existing) = (key.clone(), options.skip_existing);
        self.with(move |layout| complete.publish(layout, &key, skip_existing)).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        let wanted = key.clone();
        // The first bytes are read together with the metadata: passing work to another thread costs more than a chunk.
        let found = self.with(move |layout| {
            let Some((meta, file)) = layout.read(&wanted)? else { return Ok(None) };
            let mut rest = Rest::new(file, range.unwrap_or(0..meta.size), meta.size)?;
            let first = rest.read()?;
            Ok(Some((meta, first, rest)))
        });
        let Some((meta, first, rest)) = found.await? else { return Ok(None) };
        let rest = stream::try_unfold(rest, async |mut rest| {
            blocking(move || Ok(rest.read()?.map(|chunk| (chunk, rest)))).await
        });
        Ok(Some((meta, stream::iter(first.map(Ok)).chain(rest).boxed())))
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        let key = key.clone();
        let found = self.with(move |layout| layout.read(&key)).await?;
        Ok(found.map(|(meta, _)| meta))
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let key = key.clone();
        self.with(move |layout| layout.remove(&key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.with(move |layout| listing::list(layout, &prefix, after.as_ref(), limit as usize)).await
    }

    async fn presign(&self, _: &ObjectKey, _: Duration) -> Result<Option<String>, ObjectError> {
        Ok(None)
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        let answer = self.with(Layout::check).await;
        answer.map_err(|error| ObjectError::Unavailable(error.into()))
    }
}
