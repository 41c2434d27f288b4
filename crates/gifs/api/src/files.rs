//! The files of GIFs: where they are, and their bytes.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kennel_cache::TypedCache;
use kennel_core::objects::ByteStream;
use kennel_core::{ErrorKind, ObjectKey};
use kennel_grpc::{CallError, GrpcChannel};
use kennel_http::HttpError;
use kennel_objects::HotObjects;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::media_client::MediaClient;
use kennel_proto::gifs::v1::{self as pb, GetBlobRequest, GetGifRequest};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::errors::failed;

/// When to ask again for a file that is being stored.
const STORED_SOON: Duration = Duration::from_secs(1);

/// A file of a GIF.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Variant {
    /// The bytes of the provider, unchanged.
    #[default]
    Original,
    /// A still WebP image of the first frame.
    Poster,
    /// A small GIF.
    Small,
}

/// A stored file. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredFile {
    variant: Variant,
    key: ObjectKey,
    pub(crate) content_type: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

/// Finds and reads files. Media names their objects; the bytes are read from the object store that both share.
#[derive(Clone)]
pub(crate) struct Files {
    pub(crate) catalogue: CatalogueClient<GrpcChannel>,
    pub(crate) media: MediaClient<GrpcChannel>,
    pub(crate) objects: HotObjects,
    /// The files of each GIF. They are final, so an entry is never wrong.
    pub(crate) cache: Arc<TypedCache<Vec<StoredFile>>>,
    /// How long the URLs are valid to which clients are redirected; `None` if the bytes are sent to them.
    pub(crate) url_ttl: Option<Duration>,
}

impl Files {
    /// The file of a GIF.
    pub(crate) async fn find(&self, id: Uuid, variant: Variant) -> Result<StoredFile, HttpError> {
        let files = self.cache.get_or_load(&id.to_string(), || self.load(id)).await?;
        let file = files.unwrap_or_default().into_iter().find(|file| file.variant == variant);
        file.ok_or_else(|| HttpError::new(ErrorKind::NotFound).with_detail("the gif has no such file"))
    }

    async fn load(&self, id: Uuid) -> Result<Option<Vec<StoredFile>>, HttpError> {
        let request = GetGifRequest { id: id.to_string() };
        let found = self.catalogue.clone().get_gif(request).await.map_err(refused)?.into_inner();
        let gif = found.gif.unwrap_or_default();
        let state = gif.state();
        let sha256 = gif.media.ok_or_else(|| not_stored(state))?.sha256;
        let found = self.media.clone().get_blob(GetBlobRequest { sha256 }).await.map_err(refused)?.into_inner();
        Ok(Some(found.blob.unwrap_or_default().files.into_iter().filter_map(stored_file).collect()))
    }

    /// The URL of a file at the object store, and how long it is valid; `None` if the bytes are sent from here.
    pub(crate) async fn url(&self, file: &StoredFile) -> Result<Option<(String, Duration)>, HttpError> {
        let Some(ttl) = self.url_ttl else { return Ok(None) };
        let url = self.objects.presign(&file.key, ttl).await;
        let url = url.map_err(|error| HttpError::from_error(error.kind(), error))?;
        Ok(url.map(|url| (url, ttl)))
    }

    /// The bytes of a file; of a range, if it is given.
    pub(crate) async fn open(&self, file: &StoredFile, range: Option<Range<u64>>) -> Result<ByteStream, HttpError> {
        let found = self.objects.get(&file.key, range).await;
        let found = found.map_err(|error| HttpError::from_error(error.kind(), error))?;
        let lost = || HttpError::from_error(ErrorKind::Internal, format!("the object {} is lost", file.key));
        found.ok_or_else(lost)
    }
}

fn refused(status: tonic::Status) -> HttpError {
    failed(CallError::from(status))
}

/// The response if a GIF has no file here.
fn not_stored(state: pb::State) -> HttpError {
    let error = HttpError::new(ErrorKind::NotFound);
    match state {
        pb::State::Fetching => error.with_detail("the file is not stored yet").with_retry_after(STORED_SOON),
        pb::State::Refused => error.with_detail("the file could not be stored"),
        _ => error.with_detail("the file is only at the provider"),
    }
}

/// `None` for a variant of a newer version of Media, and for a key that no object has.
fn stored_file(file: pb::StoredFile) -> Option<StoredFile> {
    let variant = match file.variant() {
        pb::Variant::Unspecified => return None,
        pb::Variant::Original => Variant::Original,
        pb::Variant::Poster => Variant::Poster,
        pb::Variant::Small => Variant::Small,
    };
    let pb::StoredFile { key, content_type, size, sha256, .. } = file;
    Some(StoredFile { variant, key: key.parse().ok()?, content_type, size, sha256 })
}
