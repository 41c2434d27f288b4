//! Importing dogs by the million: line by line, in batches, and once even when it is interrupted.
//!
//! An import has a key. The store keeps how many lines of it are dealt with and their digest, in the transaction that
//! stores their dogs, so the same lines under the same key go on where they stopped. Rows without an id get one
//! made of the import's start, the line's number and the key: a line that is repeated all the same finds its dog there.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use futures_util::future::join;
use futures_util::{Stream, StreamExt as _};
use kennel_core::{BoxError, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::events::DogsImported;
use crate::model::InvalidBreed;
use crate::ports::{ImportBatch, ImportProgress};
use crate::service::{check_key, check_name, check_url};
use crate::{Dog, DogError, DogId, DogService, Revision};

/// Lines that commit together.
pub const BATCH_LINES: usize = 4_000;
/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 64 * 1024;
/// The most lines whose faults are told one by one.
pub const MAX_REPORTED: usize = 1_000;
/// The longest key of an import, in bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// A line of an import.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A JSON object, see [`Row`]; blank lines are passed over.
    Json(Bytes),
    /// A line longer than [`MAX_LINE_BYTES`], left out.
    TooLong,
}

/// A dog to import, as a line holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row<'a> {
    /// Its breed.
    #[serde(borrow)]
    pub breed: Cow<'a, str>,
    /// Its name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// A link to its picture.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<Cow<'a, str>>,
    /// Its id, for one that has it already; a dog that is there under it stays as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// When it was made; the import's start, where it is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// What is wrong with a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// The field at fault, where one is.
    pub field: Option<Cow<'static, str>>,
    /// What is wrong.
    pub reason: String,
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Its key.
    pub import: String,
    /// Lines dealt with, counted from its start.
    pub lines: u64,
    /// Lines that an earlier run had dealt with.
    pub resumed_from: u64,
    /// Dogs made by this run.
    pub created: u64,
    /// Rows of this run whose dog was there already.
    pub existing: u64,
    /// Lines of this run that were refused.
    pub failed: u64,
    /// The first of the refused lines, [`MAX_REPORTED`] at most.
    pub errors: Vec<LineError>,
}

/// Cuts a stream of bytes into lines. Lines end with `\n` or `\r\n`; the last one may go without.
pub struct LineCutter {
    rest: BytesMut,
    overlong: bool,
}

impl Default for LineCutter {
    fn default() -> Self {
        Self { rest: BytesMut::new(), overlong: false }
    }
}

impl LineCutter {
    /// The lines that end in `chunk`.
    pub fn push(&mut self, chunk: Bytes) -> Vec<Line> {
        let mut lines = Vec::new();
        let mut chunk = chunk;
        while let Some(end) = chunk.iter().position(|byte| *byte == b'\n') {
            let head = chunk.split_to(end + 1).slice(..end);
            lines.push(self.end_line(head));
        }
        self.keep(&chunk);
        lines
    }

    /// The last line, when it goes without an end.
    pub fn finish(mut self) -> Option<Line> {
        let open = self.overlong || !self.rest.is_empty();
        open.then(|| self.end_line(Bytes::new()))
    }

    fn end_line(&mut self, head: Bytes) -> Line {
        let whole = if self.rest.is_empty() && !self.overlong {
            head
        } else {
            self.keep(&head);
            self.rest.split().freeze()
        };
        let overlong = std::mem::take(&mut self.overlong) || whole.len() > MAX_LINE_BYTES;
        if overlong { Line::TooLong } else { Line::Json(whole) }
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.overlong || self.rest.len() + bytes.len() > MAX_LINE_BYTES {
            self.overlong = true;
            self.rest.clear();
        } else {
            self.rest.extend_from_slice(bytes);
        }
    }
}

/// The lines of a stream of bytes.
pub fn lines<E: Into<BoxError>>(
    chunks: impl Stream<Item = Result<Bytes, E>>,
) -> impl Stream<Item = Result<Vec<Line>, BoxError>> {
    let state = (Box::pin(chunks), Some(LineCutter::default()));
    futures_util::stream::unfold(state, |(mut chunks, cutter)| async move {
        let mut cutter = cutter?;
        match chunks.next().await {
            Some(Ok(chunk)) => {
                let lines = cutter.push(chunk);
                Some((Ok(lines), (chunks, Some(cutter))))
            }
            Some(Err(error)) => Some((Err(error.into()), (chunks, None))),
            None => cutter.finish().map(|last| (Ok(vec![last]), (chunks, None))),
        }
    })
}

/// Makes the ids of rows that have none: in the layout of UUID version 7, the time of the import's start, then
/// 34 bits of line number, then 40 bits of the key's digest.
#[derive(Debug, Clone, Copy)]
struct RowIds {
    millis: u64,
    key_bits: u64,
}

impl RowIds {
    fn new(import: &str, started_at: Timestamp) -> Self {
        let digest = Sha256::digest(import);
        let key_bits = digest[..5].iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte));
        Self { millis: u64::try_from(started_at.as_millis()).unwrap_or(0), key_bits }
    }

    fn id(self, line: u64) -> DogId {
        let line = line & 0x3_FFFF_FFFF;
        let random = u128::from(line) << 40 | u128::from(self.key_bits);
        // RFC 9562, section 5.7: 12 of the 74 free bits follow the version, 62 the variant.
        let high = self.millis << 16 | 0x7000 | u64::try_from(random >> 62).unwrap_or(0);
        let low = 1 << 63 | u64::try_from(random & ((1 << 62) - 1)).unwrap_or(0);
        DogId(Uuid::from_u64_pair(high, low))
    }
}

/// The field at fault, where one is, and what is wrong.
type Fault = (Option<Cow<'static, str>>, String);

/// Why a line is not a [`Row`]. Reads it once more to learn the field: faults are few, good lines are many.
fn unreadable(json: &[u8], error: &serde_json::Error) -> Fault {
    let told = error.to_string();
    // Lines have no lines of their own.
    let reason = told.split(" at line ").next().unwrap_or(&told).to_owned();
    if !error.is_data() {
        return (None, format!("not JSON: {reason}"));
    }
    let named = ["missing field `", "unknown field `", "duplicate field `"];
    let named = named.iter().find_map(|start| reason.strip_prefix(start)?.split('`').next()).map(str::to_owned);
    let path = serde_path_to_error::deserialize::<_, Row<'_>>(&mut serde_json::Deserializer::from_slice(json))
        .err()
        .map(|error| error.path().to_string())
        .filter(|path| path != ".");
    (named.or(path).map(Cow::Owned), reason)
}

/// One run of an import.
struct Run<S> {
    source: S,
    waiting: std::vec::IntoIter<Line>,
    ids: RowIds,
    progress: ImportProgress,
    line: u64,
    hasher: Sha256,
    report: ImportReport,
}

/// Lines read and checked, ready to be stored.
struct Batch {
    dogs: Vec<Dog>,
    lines: u64,
    digest: [u8; 32],
    interrupted: Option<BoxError>,
}

impl DogService {
    /// Imports the rows of `lines` under the key `import`; takes it up where an earlier run stopped.
    ///
    /// Lines with faults are told in the report and left out. `observe` is shown the report after each batch.
    /// Fails with [`DogError::OtherImport`] when the key was used for other lines, before anything is stored, and
    /// with [`DogError::Interrupted`] when `lines` ends in an error; what came before it is stored.
    pub async fn import(
        &self,
        import: &str,
        lines: impl Stream<Item = Result<Vec<Line>, BoxError>> + Send,
        mut observe: impl FnMut(&ImportReport) + Send,
    ) -> Result<ImportReport, DogError> {
        check_key("Idempotency-Key", import, MAX_KEY_BYTES)?;
        let progress = self.ports.repo.begin_import(import, self.ports.clock.now()).await?;
        let mut run = Run {
            source: Box::pin(lines.fuse()),
            waiting: Vec::new().into_iter(),
            ids: RowIds::new(import, progress.started_at),
            progress,
            line: 0,
            hasher: Sha256::new(),
            report: ImportReport {
                import: import.to_owned(),
                lines: 0,
                resumed_from: progress.lines,
                created: 0,
                existing: 0,
                failed: 0,
                errors: Vec::new(),
            },
        };
        let mut batch = run.read().await?;
        loop {
            let Some(full) = batch else { break };
            let (interrupted, lines, rows) = (full.interrupted, full.lines, full.dogs.len() as u64);
            let step = ImportBatch {
                import: import.to_owned(),
                dogs: full.dogs,
                lines,
                digest: full.digest,
                at: self.ports.clock.now(),
            };
            // The next batch is read and checked while the store writes this one.
            let (taken, next) = join(self.store_batch(&step), run.read_unless(interrupted.is_some())).await;
            let taken = taken?;
            run.report.created += rows - taken;
            run.report.existing += taken;
            run.report.lines = lines;
            observe(&run.report);
            if let Some(source) = interrupted {
                return Err(DogError::Interrupted { lines, source });
            }
            batch = next?;
        }
        run.report.lines = run.report.lines.max(run.line);
        Ok(run.report)
    }

    async fn store_batch(&self, batch: &ImportBatch) -> Result<u64, DogError> {
        let event =
            |dogs| self.event(batch.at, &DogsImported { import: batch.import.clone(), lines: batch.lines, dogs });
        Ok(self.ports.repo.import(batch, &event).await?.len() as u64)
    }
}

impl<S: Stream<Item = Result<Vec<Line>, BoxError>> + Unpin> Run<S> {
    async fn read_unless(&mut self, ended: bool) -> Result<Option<Batch>, DogError> {
        if ended { Ok(None) } else { self.read().await }
    }

    /// The next batch; `None` at the end.
    async fn read(&mut self) -> Result<Option<Batch>, DogError> {
        let mut dogs = Vec::with_capacity(BATCH_LINES);
        let first = self.line.max(self.progress.lines);
        let mut interrupted = None;
        while self.line < first + BATCH_LINES as u64 {
            let Some(line) = self.waiting.next() else {
                match self.source.next().await {
                    Some(Ok(lines)) => self.waiting = lines.into_iter(),
                    Some(Err(error)) => {
                        interrupted = Some(error);
                        break;
                    }
                    None => break,
                }
                continue;
            };
            if let Some(dog) = self.take(&line)? {
                dogs.push(dog);
            }
        }
        if self.line < self.progress.lines && interrupted.is_none() {
            return Err(DogError::OtherImport { import: self.report.import.clone() });
        }
        if self.line <= first && interrupted.is_none() {
            return Ok(None);
        }
        let lines = self.line.max(self.progress.lines);
        Ok(Some(Batch { dogs, lines, digest: self.hasher.clone().finalize().into(), interrupted }))
    }

    /// Counts and digests the line; the dog in it, unless it is refused, blank or dealt with already.
    fn take(&mut self, line: &Line) -> Result<Option<Dog>, DogError> {
        self.line += 1;
        match line {
            Line::Json(json) => self.hasher.update(json),
            Line::TooLong => {}
        }
        self.hasher.update(b"\n");
        if self.line <= self.progress.lines {
            if self.line == self.progress.lines && self.hasher.clone().finalize()[..] != self.progress.digest {
                return Err(DogError::OtherImport { import: self.report.import.clone() });
            }
            return Ok(None);
        }
        let parsed = match line {
            Line::TooLong => Err((None, format!("longer than {MAX_LINE_BYTES} bytes"))),
            Line::Json(json) if json.trim_ascii().is_empty() => return Ok(None),
            Line::Json(json) => self.dog(json),
        };
        match parsed {
            Ok(dog) => Ok(Some(dog)),
            Err((field, reason)) => {
                self.report.failed += 1;
                if self.report.errors.len() < MAX_REPORTED {
                    self.report.errors.push(LineError { line: self.line, field, reason });
                }
                Ok(None)
            }
        }
    }

    fn dog(&self, json: &[u8]) -> Result<Dog, Fault> {
        let row: Row<'_> = serde_json::from_slice(json).map_err(|error| unreadable(json, &error))?;
        let breed = row.breed.parse().map_err(|error: InvalidBreed| (Some("breed".into()), error.to_string()))?;
        let refused = |error: DogError| match error {
            DogError::Invalid { field, reason } => (Some(field.into()), reason),
            other => (None, other.to_string()),
        };
        check_name(row.name.as_deref()).map_err(refused)?;
        check_url(row.image_url.as_deref()).map_err(refused)?;
        let created_at = row.created_at.unwrap_or(self.progress.started_at);
        Ok(Dog {
            id: row.id.map_or_else(|| self.ids.id(self.line), DogId),
            breed,
            name: row.name.map(Cow::into_owned),
            image_url: row.image_url.map(Cow::into_owned),
            photo: None,
            revision: Revision::FIRST,
            created_at,
            updated_at: created_at,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8], chunk: usize) -> Vec<Line> {
        let mut cutter = LineCutter::default();
        let mut lines: Vec<Line> =
            text.chunks(chunk).flat_map(|part| cutter.push(Bytes::copy_from_slice(part))).collect();
        lines.extend(cutter.finish());
        lines
    }

    fn json(text: &'static str) -> Line {
        Line::Json(Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn lines_do_not_depend_on_the_chunks() {
        let expected = [json("one"), json(""), json("three\r"), json("four")];
        for chunk in 1..20 {
            assert_eq!(cut(b"one\n\nthree\r\nfour", chunk), expected, "chunks of {chunk}");
        }
        assert_eq!(cut(b"one\n", 4), [json("one")]);
        assert_eq!(cut(b"", 1), []);
    }

    #[test]
    fn an_overlong_line_is_left_out_and_the_next_one_is_whole() {
        let mut text = vec![b'x'; MAX_LINE_BYTES + 1];
        text.extend_from_slice(b"\nnext\n");
        for chunk in [1_000, MAX_LINE_BYTES, text.len()] {
            assert_eq!(cut(&text, chunk), [Line::TooLong, json("next")], "chunks of {chunk}");
        }
        assert_eq!(cut(&text[..=MAX_LINE_BYTES], 7), [Line::TooLong]);
        assert!(matches!(cut(&text[1..], 512)[0], Line::Json(_)));
    }

    #[test]
    fn a_line_that_is_no_row_names_its_field() {
        let fault = |json: &str| {
            let error = serde_json::from_str::<Row<'_>>(json).unwrap_err();
            let (field, reason) = unreadable(json.as_bytes(), &error);
            (field.unwrap_or_default().into_owned(), reason)
        };
        assert_eq!(fault("{}"), ("breed".to_owned(), "missing field `breed`".to_owned()));
        assert_eq!(fault(r#"{"breed":"pug","age":3}"#).0, "age");
        assert_eq!(fault(r#"{"breed":7}"#).0, "breed");
        assert_eq!(fault(r#"{"breed":"pug","created_at":"soon"}"#).0, "created_at");
        assert_eq!(fault(r#"{"breed":"#).0, "");
        assert!(fault(r#"{"breed":"#).1.starts_with("not JSON: "));
    }

    #[test]
    fn row_ids_are_version_7_and_follow_the_lines() {
        let started = Timestamp::from_millis(1_700_000_000_000).unwrap();
        let ids = RowIds::new("import", started);
        let made: Vec<_> = (1..10_000).map(|line| ids.id(line)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
        for id in &made {
            assert_eq!((id.0.get_version_num(), id.0.get_variant()), (7, uuid::Variant::RFC4122));
            assert_eq!(id.0.get_timestamp().unwrap().to_unix(), (1_700_000_000, 0));
        }
        assert_eq!(ids.id(7), RowIds::new("import", started).id(7), "a repetition has the same ids");
        assert_ne!(ids.id(7), RowIds::new("other", started).id(7));
        assert!(ids.id(1 << 33) > ids.id((1 << 33) - 1));
    }
}
