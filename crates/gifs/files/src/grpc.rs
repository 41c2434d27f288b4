//! The gRPC service `gifs.v1.Media`.

use std::pin::Pin;

use futures_util::{Stream, StreamExt as _, stream};
use gifs_domain::media::{Blob, MediaService, StoredFile, Variant};
use kennel_core::ErrorKind;
use kennel_core::objects::ObjectError;
use kennel_grpc::{Details, Reply, failed, invalid, respond, status, valid};
use kennel_proto::convert::timestamp;
use kennel_proto::gifs::v1::{self as pb, media_server::Media as Rpc};
use tonic::{Request, Response, Status};

/// Largest message of a stream, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// The service.
pub(crate) struct MediaRpc(pub(crate) MediaService);

type Responses = Pin<Box<dyn Stream<Item = Result<pb::OpenBlobResponse, Status>> + Send>>;

#[tonic::async_trait]
impl Rpc for MediaRpc {
    type OpenBlobStream = Responses;

    async fn get_blob(&self, request: Request<pb::GetBlobRequest>) -> Reply<pb::GetBlobResponse> {
        let blob = self.0.get(&valid("sha256", request.get_ref().sha256.parse())?).await.map_err(failed)?;
        Ok(respond(pb::GetBlobResponse { blob: Some(message(blob)) }))
    }

    async fn open_blob(&self, request: Request<pb::OpenBlobRequest>) -> Reply<Responses> {
        let request = request.into_inner();
        let variant = match pb::Variant::try_from(request.variant) {
            Ok(pb::Variant::Unspecified | pb::Variant::Original) => Variant::Original,
            Ok(pb::Variant::Poster) => Variant::Poster,
            Ok(pb::Variant::Small) => Variant::Small,
            Err(error) => return Err(invalid("variant", &error)),
        };
        let end = if request.length == 0 { u64::MAX } else { request.offset.saturating_add(request.length) };
        let range = (request.offset, end) != (0, u64::MAX);
        let range = range.then_some(request.offset..end);
        let (file, body) =
            self.0.open(&valid("sha256", request.sha256.parse())?, variant, range).await.map_err(failed)?;
        if request.offset > file.size {
            let reason = format!("the file has {} bytes", file.size);
            let details = Details::default().field("offset", reason.clone());
            return Err(status(ErrorKind::TooLarge, format!("offset: {reason}"), details));
        }
        let head = pb::OpenBlobResponse { file: Some(stored_file(file)), data: Vec::new() };
        let data = body.flat_map(|chunk| {
            let messages: Vec<_> = match chunk {
                Ok(chunk) => chunk
                    .chunks(CHUNK_BYTES)
                    .map(|data| Ok(pb::OpenBlobResponse { file: None, data: data.to_vec() }))
                    .collect(),
                Err(error) => vec![Err(unreadable(&error))],
            };
            stream::iter(messages)
        });
        let mut response: Response<Responses> = Response::new(stream::iter([Ok(head)]).chain(data).boxed());
        // Files of images are compressed already.
        response.disable_compression();
        Ok(response)
    }
}

/// The object store failed in the middle of a file.
fn unreadable(error: &ObjectError) -> Status {
    let kind = if error.kind() == ErrorKind::Cancelled { ErrorKind::Internal } else { error.kind() };
    status(kind, "", Details::default())
}

fn message(blob: Blob) -> pb::Blob {
    pb::Blob {
        sha256: blob.sha256.into(),
        files: blob.files.into_iter().map(stored_file).collect(),
        frames: blob.frames,
        duration_ms: blob.duration_ms,
        plays: blob.plays,
        defects: blob.defects,
        created_at: Some(timestamp(blob.created_at.as_millis())),
    }
}

fn stored_file(file: StoredFile) -> pb::StoredFile {
    let variant = match file.variant {
        Variant::Original => pb::Variant::Original,
        Variant::Poster => pb::Variant::Poster,
        Variant::Small => pb::Variant::Small,
    };
    pb::StoredFile {
        variant: variant.into(),
        key: file.key.into(),
        content_type: file.content_type,
        size: file.size,
        width: file.width,
        height: file.height,
        sha256: file.sha256.into(),
    }
}
