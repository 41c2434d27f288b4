//! A file without a name: it is gone when nothing reads it any more, also after a crash.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectError};
use tokio::task::spawn_blocking;

/// Size of a chunk when the file is read, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// A complete file. Clones share it, and each reads it from the start.
#[derive(Debug, Clone)]
pub(crate) struct TempFile {
    file: Arc<File>,
    size: u64,
}

impl TempFile {
    /// The file with its size in bytes.
    pub(crate) fn new(file: File, size: u64) -> Self {
        Self { file: Arc::new(file), size }
    }

    /// Reads it.
    pub(crate) fn reader(&self) -> BufReader<Reader> {
        BufReader::with_capacity(64 * 1024, Reader { file: self.clone(), offset: 0 })
    }

    /// Its bytes, as the body of an object.
    pub(crate) fn body(&self) -> ByteStream {
        let next = async |mut reader: Reader| {
            let read = spawn_blocking(move || {
                let left = usize::try_from(reader.file.size.saturating_sub(reader.offset)).unwrap_or(usize::MAX);
                let mut chunk = vec![0; left.min(CHUNK_BYTES)];
                reader.read_exact(&mut chunk).map(|()| (chunk, reader))
            });
            let read = read.await.map_err(io::Error::other).flatten();
            let (chunk, reader) = read.map_err(|error| ObjectError::Body(error.into()))?;
            Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), reader)))
        };
        stream::try_unfold(Reader { file: self.clone(), offset: 0 }, next).boxed()
    }
}

/// Reads a file from a position of its own.
#[derive(Debug)]
pub(crate) struct Reader {
    file: TempFile,
    offset: u64,
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let offset = match to {
            SeekFrom::Start(offset) => Some(offset),
            SeekFrom::End(offset) => self.file.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.offset.checked_add_signed(offset),
        };
        self.offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.offset)
    }
}
