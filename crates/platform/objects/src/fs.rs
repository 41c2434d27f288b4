//! Objects in a directory.
//!
//! An object is one file: its bytes, then its content type, then that type's length in one byte. So the bytes and
//! what is known of them change in one rename, and a picture still opens in a viewer. The folders of a key's path
//! end in `@`, so that `a` and `a/b` can both be there. A new object is written to `.incoming`, brought to the disk,
//! and renamed to its place; what a crash leaves in `.incoming` is removed at the next start.
//!
//! Symbolic links below the root are refused.

mod incoming;
mod layout;
mod listing;

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _};
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{Clock, ObjectKey, ObjectStore};
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tokio_util::io::ReaderStream;

use self::incoming::Incoming;
use self::layout::Layout;

/// How much of an object is read at a time, in bytes.
const PIECE: usize = 64 * 1024;

/// See the [module](self). Cheap to clone.
#[derive(Debug, Clone)]
pub struct FsObjects {
    layout: Arc<Layout>,
}

impl FsObjects {
    /// Objects under `root`, which is made when it is not there.
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

/// Sorts what the system reports by whether waiting may help.
fn classify(error: io::Error) -> ObjectError {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::StorageFull | Kind::QuotaExceeded | Kind::TimedOut | Kind::ReadOnlyFilesystem | Kind::ResourceBusy => {
            ObjectError::Unavailable(error.into())
        }
        _ => ObjectError::Backend(error.into()),
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
        let mut incoming = Incoming::create(Arc::clone(&self.layout)).await.map_err(classify)?;
        while let Some(piece) = body.next().await {
            let piece = piece?;
            if incoming.size().saturating_add(piece.len() as u64) > options.max_bytes {
                return Err(ObjectError::TooLarge { limit: options.max_bytes });
            }
            incoming.write(&piece).await.map_err(classify)?;
        }
        let complete = incoming.finish(options.content_type.as_deref()).await.map_err(classify)?;
        let (key, skip_existing) = (key.clone(), options.skip_existing);
        self.with(move |layout| complete.publish(layout, &key, skip_existing)).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        let wanted = key.clone();
        let Some((meta, file)) = self.with(move |layout| layout.read(&wanted)).await? else {
            return Ok(None);
        };
        let range = range.unwrap_or(0..meta.size);
        let start = range.start.min(meta.size);
        let length = range.end.min(meta.size).saturating_sub(start);
        let mut file = tokio::fs::File::from_std(file);
        file.seek(io::SeekFrom::Start(start)).await.map_err(classify)?;
        let pieces = ReaderStream::with_capacity(file.take(length), PIECE).map_err(classify);
        Ok(Some((meta, pieces.boxed())))
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
