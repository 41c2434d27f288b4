//! Bulk import of dogs: line by line, in batches, and resumable after an interruption without duplicates.
//!
//! An import has a key. The store records the number of processed lines and their digest in the transaction that stores
//! their dogs, so sending the same lines with the same key resumes the import. Rows without an id get an id derived
//! from the import's start time, the line number and the key: a line that is processed twice finds its dog already
//! stored.

mod ids;
mod lines;

use std::borrow::Cow;

use futures_util::future::join;
use futures_util::{Stream, StreamExt as _};
use kennel_core::json::{JsonError, read_object};
use kennel_core::{BoxError, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::events::DogsImported;
use crate::model::InvalidBreed;
use crate::ports::{ImportBatch, ImportProgress};
use crate::service::{check_key, check_name, check_url};
use crate::{Dog, DogError, DogId, DogService, Revision};

use ids::RowIds;
pub use lines::{Line, LineSplitter, MAX_LINE_BYTES, lines};

/// Number of lines per transaction.
pub const BATCH_LINES: usize = 4_000;
/// Maximum number of invalid lines that are reported individually.
pub const MAX_REPORTED: usize = 1_000;
/// The longest key of an import, in bytes.
pub const MAX_KEY_BYTES: usize = 128;

/// A dog to import: the JSON object of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row<'a> {
    /// Its breed.
    #[serde(borrow)]
    pub breed: Cow<'a, str>,
    /// Its name.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Cow<'a, str>>,
    /// A link to its image.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub image_url: Option<Cow<'a, str>>,
    /// Its id, if it has one already. An existing dog with this id stays unchanged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Uuid>,
    /// When it was created; by default the start time of the import.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created_at: Option<Timestamp>,
}

/// The error of a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineError {
    /// Its number, from 1.
    pub line: u64,
    /// The invalid field, if there is one.
    pub field: Option<Cow<'static, str>>,
    /// The reason.
    pub reason: String,
}

/// The result of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Its key.
    pub import: String,
    /// Number of processed lines, counted from the start of the import.
    pub lines: u64,
    /// Number of lines that an earlier run had processed.
    pub resumed_from: u64,
    /// Number of dogs that this run created.
    pub created: u64,
    /// Number of rows of this run whose dog existed already.
    pub existing: u64,
    /// Number of invalid lines of this run.
    pub failed: u64,
    /// The first invalid lines, at most [`MAX_REPORTED`].
    pub errors: Vec<LineError>,
}

/// The invalid field, if there is one, and the reason.
type RowError = (Option<Cow<'static, str>>, String);

/// Why a line is not a [`Row`].
fn unreadable(error: JsonError) -> RowError {
    match error {
        JsonError::Value { field, reason } => (field.map(Cow::Owned), reason),
        // The input is a single line, so its line number is useless.
        other => (None, other.to_string().split(" at line ").next().unwrap_or_default().to_owned()),
    }
}

/// The state of one run of an import.
struct ImportRun<S> {
    source: S,
    waiting: std::vec::IntoIter<Line>,
    ids: RowIds,
    progress: ImportProgress,
    line: u64,
    hasher: Sha256,
    report: ImportReport,
}

/// Lines that are parsed and validated, ready to be stored.
struct Batch {
    dogs: Vec<Dog>,
    lines: u64,
    digest: [u8; 32],
    interrupted: Option<BoxError>,
}

impl DogService {
    /// Imports the rows of `lines` with the key `import`; resumes it where an earlier run stopped.
    ///
    /// Invalid lines are skipped and listed in the report. `observe` gets the report after each batch. Fails with
    /// [`DogError::OtherImport`] when the key was used for different lines; nothing is stored then. Fails with
    /// [`DogError::Interrupted`] when `lines` ends with an error; the lines before it are stored.
    pub async fn import(
        &self,
        import: &str,
        lines: impl Stream<Item = Result<Vec<Line>, BoxError>> + Send,
        mut observe: impl FnMut(&ImportReport) + Send,
    ) -> Result<ImportReport, DogError> {
        check_key(import, MAX_KEY_BYTES)?;
        let progress = self.ports.imports.begin_import(import, self.ports.clock.now()).await?;
        let mut run = ImportRun {
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
            // Reads and validates the next batch while the store writes this one.
            let (existing, next) = join(self.store_batch(&step), run.read_unless(interrupted.is_some())).await;
            let existing = existing?;
            run.report.created += rows - existing;
            run.report.existing += existing;
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
        Ok(self.ports.imports.import(batch, &event).await?.len() as u64)
    }
}

impl<S: Stream<Item = Result<Vec<Line>, BoxError>> + Unpin> ImportRun<S> {
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
            if let Some(dog) = self.parse_line(&line)? {
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

    /// Counts and hashes the line; returns its dog, unless the line is invalid, blank or already processed.
    fn parse_line(&mut self, line: &Line) -> Result<Option<Dog>, DogError> {
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

    fn dog(&self, json: &[u8]) -> Result<Dog, RowError> {
        let row: Row<'_> = read_object(json).map_err(unreadable)?;
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

    #[test]
    fn a_line_that_is_no_row_names_its_field() {
        let error_of = |json: &str| {
            let (field, reason) = unreadable(read_object::<Row<'_>>(json.as_bytes()).unwrap_err());
            (field.unwrap_or_default().into_owned(), reason)
        };
        assert_eq!(error_of("{}"), ("breed".to_owned(), "missing field `breed`".to_owned()));
        assert_eq!(error_of(r#"{"breed":"pug","age":3}"#).0, "age");
        assert_eq!(error_of(r#"{"breed":7}"#).0, "breed");
        assert_eq!(error_of(r#"{"breed":"pug","created_at":"soon"}"#).0, "created_at");
        assert_eq!(error_of(r#"{"breed":"#).0, "");
        assert!(error_of(r#"{"breed":"#).1.starts_with("not JSON: "));
        assert_eq!(error_of(r#"["husky","a",null,null,null]"#), (String::new(), "must be an object".to_owned()));
    }
}
