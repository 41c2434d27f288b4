//! From an event to the bytes over gRPC.
#![allow(dead_code, clippy::allow_attributes, reason = "whether it is used depends on the features")]

use std::time::Duration;

use gifs_contracts::{MediaRefused, MediaStored, Refusal};
use kennel_proto::gifs::v1::media_client::MediaClient;
use kennel_proto::gifs::v1::{GetBlobRequest, OpenBlobRequest, Variant};
use kennel_testkit::gifs::GifFile;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::backends::Variables;
use crate::running::Home;
use crate::upstream::{Answer, Upstream};

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) async fn story(variables: &Variables) {
    let upstream = Upstream::start().await;
    let home = Home::new(variables);
    let mut catalogue = home.catalogue().await;
    let mut running = home.serve().await;
    let file = GifFile::animation(300, 100, 3, 0).cut(0);
    let urls = [
        upstream.set("cat.gif", Answer::File(file.clone())),
        upstream.set("page.gif", Answer::File(b"<html>".to_vec())),
    ];
    let gifs = catalogue.discover(&urls).await;
    let (mut stored, mut refused) = (None, None);
    while stored.is_none() || refused.is_none() {
        let answer = catalogue.answer(LIMIT).await.expect("an answer");
        stored = stored.or(answer.decode::<MediaStored>().unwrap());
        refused = refused.or(answer.decode::<MediaRefused>().unwrap());
    }
    let (stored, refused) = (stored.unwrap(), refused.unwrap());
    assert_eq!((stored.id, stored.width, stored.frames, stored.duration_ms), (gifs[0], 300, 3, 300));
    assert_eq!((refused.id, refused.refusal), (gifs[1], Refusal::NotAGif));

    let mut media = MediaClient::connect(format!("http://{}", running.grpc)).await.unwrap();
    let sha256 = stored.sha256.to_string();
    let blob = media.get_blob(GetBlobRequest { sha256: sha256.clone() }).await.unwrap().into_inner().blob.unwrap();
    assert_eq!((blob.frames, blob.duration_ms, blob.plays), (3, 300, 0));
    assert_eq!(blob.defects, ["missing_trailer", "replaced_delay"]);
    for stored in &blob.files {
        let (head, bytes) = open(&mut media, &sha256, stored.variant(), 0, 0).await.unwrap();
        assert_eq!((head.as_ref(), bytes.len() as u64), (Some(stored), stored.size));
    }
    assert_eq!(open(&mut media, &sha256, Variant::Original, 0, 0).await.unwrap().1, file);
    assert_eq!(open(&mut media, &sha256, Variant::Original, 6, 4).await.unwrap().1, file[6..10]);
    assert_eq!(open(&mut media, &sha256, Variant::Original, file.len() as u64, 0).await.unwrap().1, b"");
    let beyond = open(&mut media, &sha256, Variant::Original, file.len() as u64 + 1, 0).await;
    assert_eq!(beyond.unwrap_err().code(), Code::OutOfRange);
    let unknown = media.get_blob(GetBlobRequest { sha256: "0".repeat(64) }).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let invalid = media.get_blob(GetBlobRequest { sha256: "x".to_owned() }).await;
    assert_eq!(invalid.unwrap_err().code(), Code::InvalidArgument);

    let (code, output) = home.run(&["reconcile"]).await;
    assert_eq!(code, Some(0), "{output}");
    assert!(output.contains("1 blobs and 3 objects compared, 0 differences"), "{output}");
    running.process.terminate();
    assert!(running.process.wait(LIMIT).await.success(), "{}", running.process.output());
}

type File = kennel_proto::gifs::v1::StoredFile;

async fn open(
    media: &mut MediaClient<Channel>,
    sha256: &str,
    variant: Variant,
    offset: u64,
    length: u64,
) -> Result<(Option<File>, Vec<u8>), Status> {
    let request = OpenBlobRequest { sha256: sha256.to_owned(), variant: variant.into(), offset, length };
    let mut stream = media.open_blob(request).await?.into_inner();
    let head = stream.message().await?.unwrap();
    assert!(head.data.is_empty());
    let mut bytes = Vec::new();
    while let Some(message) = stream.message().await? {
        assert!(message.file.is_none());
        bytes.extend(message.data);
    }
    Ok((head.file, bytes))
}
