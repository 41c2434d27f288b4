//! Downloads GIFs over HTTP, and creates their versions. URLs and files are untrusted.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use gifs_contracts::{Refusal, Sha256};
use gifs_domain::media::{FetchError, Fetched, Fetcher, NewFile, Variant};
use http::StatusCode;
use kennel_client::{Client, ClientError, Refusal as AddressRefusal, Response};
use kennel_images::ImageProcessor;
use kennel_images::gif::{GifDefect, GifError, GifInfo, GifLimits, Rendition, Renditions};
use sha2::{Digest as _, Sha256 as Hasher};
use tokio::io::AsyncWriteExt as _;
use tokio::task::spawn_blocking;
use url::Url;

use crate::config::MediaConfig;
use crate::temp_file::TempFile;

/// Fetches GIFs over HTTP. Address, size and structure are checked before anything is decoded.
pub struct HttpFetcher {
    client: Client,
    images: ImageProcessor,
    folder: PathBuf,
    max_bytes: u64,
}

impl HttpFetcher {
    /// A fetcher that downloads with `client`, within the limits of the settings. Fails if it cannot write to the folder for
    /// downloads.
    pub fn new(client: Client, config: &MediaConfig) -> io::Result<Self> {
        let folder = config.gif_download_path.clone().unwrap_or_else(std::env::temp_dir);
        drop(tempfile::tempfile_in(&folder)?);
        let images = ImageProcessor::new(config.gif_memory_limit.0);
        Ok(Self { client, images, folder, max_bytes: config.gif_limit.0 })
    }

    /// Downloads a file, and computes its hash meanwhile.
    async fn download(&self, url: &Url) -> Result<(TempFile, u64, Sha256), FetchError> {
        let request = self.client.get(url).accept(StatusCode::OK).max_bytes(self.max_bytes);
        let response = request.send().await.map_err(refused_or_unavailable)?;
        let folder = self.folder.clone();
        let file = spawn_blocking(move || tempfile::tempfile_in(folder)).await;
        let file = file.map_err(io::Error::other).flatten().map_err(local)?;
        write(response, file).await
    }
}

#[async_trait]
impl Fetcher for HttpFetcher {
    async fn fetch(&self, url: &str) -> Result<Fetched, FetchError> {
        let url = url.parse().map_err(|_| refused(Refusal::ForbiddenAddress, "the address is not a URL"))?;
        let (file, size, sha256) = self.download(&url).await?;
        let info = self.images.inspect_gif(file.reader(), GifLimits::default()).await.map_err(unusable)?;
        let renditions = self.images.render_gif(file.reader(), info.clone()).await.map_err(unusable)?;
        let original = NewFile {
            variant: Variant::Original,
            content_type: "image/gif",
            size,
            width: info.width,
            height: info.height,
            sha256: sha256.clone(),
            body: Box::new(move || file.body()),
        };
        fetched(original, &info, renditions).map_err(|error| FetchError::Unavailable(error.into()))
    }
}

async fn write(mut response: Response, file: File) -> Result<(TempFile, u64, Sha256), FetchError> {
    let (mut file, mut hasher, mut size) = (tokio::fs::File::from_std(file), Hasher::new(), 0);
    while let Some(chunk) = response.chunk().await.map_err(refused_or_unavailable)? {
        hasher.update(&chunk);
        size += chunk.len() as u64;
        file.write_all(&chunk).await.map_err(local)?;
    }
    file.flush().await.map_err(local)?;
    let sha256 = digest(hasher).map_err(|error| FetchError::Unavailable(error.into()))?;
    Ok((TempFile::new(file.into_std().await, size), size, sha256))
}

fn fetched(
    original: NewFile,
    info: &GifInfo,
    renditions: Renditions,
) -> Result<Fetched, gifs_contracts::InvalidSha256> {
    let Renditions { poster, small, defect } = renditions;
    let mut defects = info.defects.clone();
    defects.extend(defect);
    defects.sort_unstable();
    let sha256 = original.sha256.clone();
    let mut files = vec![original, derived(Variant::Poster, "image/webp", poster)?];
    if let Some(small) = small {
        files.push(derived(Variant::Small, "image/gif", small)?);
    }
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Fetched {
        files,
        sha256,
        frames: info.frames,
        duration_ms: millis(info.duration),
        raw_duration_ms: millis(info.raw_duration),
        plays: info.plays.unwrap_or(0),
        defects: defects.into_iter().map(GifDefect::name).map(str::to_owned).collect(),
    })
}

fn derived(
    variant: Variant,
    content_type: &'static str,
    file: Rendition,
) -> Result<NewFile, gifs_contracts::InvalidSha256> {
    let Rendition { bytes, width, height } = file;
    let bytes = Bytes::from(bytes);
    let sha256 = digest(Hasher::new_with_prefix(&bytes))?;
    let size = bytes.len() as u64;
    let body = move || stream::iter([Ok(bytes.clone())]).boxed();
    Ok(NewFile { variant, content_type, size, width, height, sha256, body: Box::new(body) })
}

fn digest(hasher: Hasher) -> Result<Sha256, gifs_contracts::InvalidSha256> {
    format!("{:x}", hasher.finalize()).parse()
}

/// The disk of this machine is full, or has another fault.
fn local(error: io::Error) -> FetchError {
    FetchError::Local(error.into())
}

fn refused(refusal: Refusal, detail: impl Into<String>) -> FetchError {
    FetchError::Refused { refusal, detail: detail.into() }
}

fn refused_or_unavailable(error: ClientError) -> FetchError {
    if error.is_transient() {
        return FetchError::Unavailable(error.into());
    }
    let refusal = match &error {
        ClientError::Refused(AddressRefusal::Redirects) => Refusal::Unreachable,
        ClientError::Refused(_) => Refusal::ForbiddenAddress,
        ClientError::TooLarge { .. } => Refusal::TooLarge,
        ClientError::Status { status, .. } => match status.as_u16() {
            404 | 410 => Refusal::Gone,
            401 | 403 | 451 => Refusal::Denied,
            _ => Refusal::Unreachable,
        },
        _ => Refusal::Unreachable,
    };
    refused(refusal, error.to_string())
}

fn unusable(error: GifError) -> FetchError {
    let refusal = match &error {
        GifError::NotAGif(_) => Refusal::NotAGif,
        // If the decoder panicked, the same bytes would make it panic again.
        GifError::Damaged(_) | GifError::Decoder(_) => Refusal::Damaged,
        GifError::OverLimits(_) => Refusal::OverLimits,
        GifError::Io(_) => return FetchError::Local(error.into()),
    };
    refused(refusal, error.to_string())
}
