//! Compares the rows of blobs with the objects, and what became of each GIF with the Catalogue, in both directions, and
//! repairs the differences.
//!
//! All are read in the order of their keys and merged, so that memory does not grow with their number. The services run
//! meanwhile: each difference is checked a second time before it counts.

mod catalogue;

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use gifs_contracts::{GifId, Sha256};
use kennel_core::ObjectKey;
use kennel_core::objects::{ObjectError, ObjectMeta};

use super::model::{Blob, PREFIX, StoredFile};
use super::ports::{CatalogueReader, FetchError};
use super::service::{MediaError, MediaService};

/// Rows and objects that are read at once.
const PAGE: u32 = 500;
/// How many GIFs of a lost blob are tried.
const MAX_URLS: u32 = 10;
/// Why something cannot be repaired.
const OTHER_BYTES: &str = "the provider has other bytes now";
const PROVIDER_UNAVAILABLE: &str = "the provider is unavailable";

/// Options of a reconciliation.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether to repair the differences.
    pub repair: bool,
    /// What is younger than this may be changed soon, and is no difference: an object without a row, a GIF without an
    /// outcome, an outcome that the Catalogue does not know.
    pub grace: Duration,
}

/// A difference between a row and an object, or between an outcome and the Catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Difference {
    /// A row has no object.
    Lost,
    /// The object has another size than its row.
    WrongSize,
    /// An object has no row.
    Orphan,
    /// The Catalogue waits for a GIF whose outcome is known.
    Unreported,
    /// The Catalogue waits for a GIF that has no outcome.
    Unsettled,
    /// The Catalogue knows the outcome of a GIF, Media does not.
    Forgotten,
    /// The Catalogue knows another outcome.
    Contradiction,
    /// The Catalogue does not have the GIF of an outcome.
    UnknownGif,
}

impl Difference {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::WrongSize => "wrong_size",
            Self::Orphan => "orphan",
            Self::Unreported => "unreported",
            Self::Unsettled => "unsettled",
            Self::Forgotten => "forgotten",
            Self::Contradiction => "contradiction",
            Self::UnknownGif => "unknown_gif",
        }
    }
}

/// What has a difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// An object.
    Object(ObjectKey),
    /// A GIF.
    Gif(GifId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Object(key) => key.fmt(f),
            Self::Gif(id) => id.fmt(f),
        }
    }
}

/// A difference that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What differs.
    pub difference: Difference,
    /// The object or the GIF.
    pub subject: Subject,
    /// What was done: `Ok` if it is repaired, the reason if it cannot be; `None` without repair.
    pub repair: Option<Result<(), String>>,
}

/// How far a reconciliation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows of blobs so far.
    pub blobs: u64,
    /// Objects so far.
    pub objects: u64,
    /// GIFs of the Catalogue so far.
    pub gifs: u64,
}

/// The result of a reconciliation.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// What was compared.
    pub compared: Progress,
    /// Number of differences.
    pub found: u64,
    /// Number of those that were repaired.
    pub repaired: u64,
}

impl Reconciliation {
    fn count(&mut self, finding: Option<&Finding>) {
        if let Some(finding) = finding {
            self.found += 1;
            self.repaired += u64::from(matches!(finding.repair, Some(Ok(()))));
        }
    }
}

impl MediaService {
    /// Compares rows and objects, then outcomes and the Catalogue if that is given. `report` gets the progress, with each
    /// difference.
    pub async fn reconcile(
        &self,
        options: Options,
        catalogue: Option<&dyn CatalogueReader>,
        mut report: impl FnMut(Progress, Option<Finding>),
    ) -> Result<Reconciliation, MediaError> {
        let mut result = Reconciliation::default();
        self.compare_objects(options, &mut result, &mut report).await?;
        if let Some(catalogue) = catalogue {
            self.compare_catalogue(catalogue, options, &mut result, &mut report).await?;
        }
        Ok(result)
    }

    async fn compare_objects(
        &self,
        options: Options,
        result: &mut Reconciliation,
        report: &mut impl FnMut(Progress, Option<Finding>),
    ) -> Result<(), MediaError> {
        let (mut rows, mut objects) = (Rows::default(), Objects::default());
        loop {
            // Objects are read after the rows, so that the objects of a row that was just committed are seen.
            rows.fill(self, &mut result.compared).await?;
            objects.fill(self, &mut result.compared).await?;
            let finding = match (rows.queue.front(), objects.queue.front()) {
                (None, None) => break,
                (Some((_, file)), Some(object)) if file.key == object.key => {
                    let differs = file.size != object.size;
                    let (_, row) = (objects.queue.pop_front(), rows.queue.pop_front());
                    match row.filter(|_| differs) {
                        Some((blob, file)) => self.check_row(&blob, file, options).await?,
                        None => None,
                    }
                }
                (Some((_, file)), object) if object.is_none_or(|object| file.key < object.key) => {
                    match rows.queue.pop_front() {
                        Some((blob, file)) => self.check_row(&blob, file, options).await?,
                        None => None,
                    }
                }
                _ => match objects.queue.pop_front() {
                    Some(object) => self.check_object(object, options).await?,
                    None => None,
                },
            };
            result.count(finding.as_ref());
            report(result.compared, finding);
        }
        Ok(())
    }

    /// A file whose object seems to be lost or to have another size.
    async fn check_row(
        &self,
        blob: &Sha256,
        file: StoredFile,
        options: Options,
    ) -> Result<Option<Finding>, MediaError> {
        let difference = match self.ports.objects.head(&file.key).await {
            Ok(None) | Err(ObjectError::Damaged(_)) => Difference::Lost,
            Ok(Some(object)) if object.size != file.size => Difference::WrongSize,
            Ok(Some(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let repair = if options.repair { Some(self.restore(blob, &file).await?) } else { None };
        Ok(Some(Finding { difference, subject: Subject::Object(file.key), repair }))
    }

    /// Downloads the bytes of a blob again, and stores one of its files.
    async fn restore(&self, blob: &Sha256, lost: &StoredFile) -> Result<Result<(), String>, MediaError> {
        let mut reason = "no gif has these bytes".to_owned();
        for url in self.ports.blobs.urls(blob, MAX_URLS).await? {
            let fetched = match self.ports.fetcher.fetch(&url).await {
                Ok(fetched) => fetched,
                Err(FetchError::Refused { refusal, .. }) => {
                    reason = refusal.to_string();
                    continue;
                }
                Err(FetchError::Unavailable(_)) => {
                    PROVIDER_UNAVAILABLE.clone_into(&mut reason);
                    continue;
                }
                Err(FetchError::Local(error)) => return Err(MediaError::Local(error)),
            };
            match fetched.files.iter().find(|file| file.sha256 == lost.sha256) {
                Some(file) if fetched.sha256 == *blob => {
                    self.put(&lost.key, file, false).await?;
                    return Ok(Ok(()));
                }
                _ => OTHER_BYTES.clone_into(&mut reason),
            }
        }
        Ok(Err(reason))
    }

    /// An object that seems to have no row.
    async fn check_object(&self, object: ObjectMeta, options: Options) -> Result<Option<Finding>, MediaError> {
        let is_young = |object: &ObjectMeta| self.ports.clock.now().since(object.modified) < options.grace;
        if is_young(&object) || self.has_row(&object.key).await? {
            return Ok(None);
        }
        let mut repair = None;
        if options.repair {
            // It may have been stored anew in the meantime.
            match self.ports.objects.head(&object.key).await? {
                Some(current) if is_young(&current) => return Ok(None),
                Some(_) => drop(self.ports.objects.delete(&object.key).await?),
                None => {}
            }
            repair = Some(Ok(()));
        }
        Ok(Some(Finding { difference: Difference::Orphan, subject: Subject::Object(object.key), repair }))
    }

    async fn has_row(&self, key: &ObjectKey) -> Result<bool, MediaError> {
        let name = key.as_str().rsplit('/').next().unwrap_or_default();
        let Ok(hash) = name.split('.').next().unwrap_or_default().parse::<Sha256>() else { return Ok(false) };
        let blob = self.ports.blobs.find(&hash).await?;
        Ok(blob.is_some_and(|blob| blob.files.iter().any(|file| file.key == *key)))
    }
}

/// The files of the rows, in the order of their keys.
#[derive(Default)]
struct Rows {
    queue: VecDeque<(Sha256, StoredFile)>,
    last: Option<Sha256>,
    is_done: bool,
}

impl Rows {
    async fn fill(&mut self, media: &MediaService, compared: &mut Progress) -> Result<(), MediaError> {
        while self.queue.is_empty() && !self.is_done {
            let blobs = media.ports.blobs.list(self.last.as_ref(), PAGE).await?;
            compared.blobs += blobs.len() as u64;
            match blobs.last() {
                Some(last) => self.last = Some(last.sha256.clone()),
                None => self.is_done = true,
            }
            for blob in blobs {
                self.queue.extend(files(blob));
            }
        }
        Ok(())
    }
}

/// The files of a blob, each object once.
fn files(blob: Blob) -> impl Iterator<Item = (Sha256, StoredFile)> {
    let mut files = blob.files;
    files.sort_by(|a, b| a.key.cmp(&b.key));
    files.dedup_by(|a, b| a.key == b.key);
    files.into_iter().map(move |file| (blob.sha256.clone(), file))
}

/// The objects, in the order of their keys.
#[derive(Default)]
struct Objects {
    queue: VecDeque<ObjectMeta>,
    last: Option<ObjectKey>,
    is_done: bool,
}

impl Objects {
    async fn fill(&mut self, media: &MediaService, compared: &mut Progress) -> Result<(), MediaError> {
        if self.queue.is_empty() && !self.is_done {
            let page = media.ports.objects.list(PREFIX, self.last.as_ref(), PAGE).await?;
            compared.objects += page.len() as u64;
            match page.last() {
                Some(last) => self.last = Some(last.key.clone()),
                None => self.is_done = true,
            }
            self.queue.extend(page);
        }
        Ok(())
    }
}
