//! Tests specific to S3: multipart uploads, URLs, buckets, and an unreachable server.
#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, poll, stream};
use kennel_core::objects::{ByteStream, ObjectError, PutOptions};
use kennel_core::{ObjectKey, ObjectStore as _, SystemClock};
use kennel_objects::{ConnectError, ObjectsConfig, S3Objects, S3Tuning, connect};
use kennel_testkit::{FaultProxy, Mode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, timeout};

use support::Bucket;

const MIB: usize = 1024 * 1024;
const OPTIONS: PutOptions = PutOptions { content_type: None, max_bytes: 64 * MIB as u64, skip_existing: false };
const KEEP: PutOptions = PutOptions { skip_existing: true, ..OPTIONS };

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

/// Bytes that differ by position, in chunks that do not align with parts.
fn long(mib: usize) -> (Vec<u8>, ByteStream) {
    let all: Vec<u8> = (0..mib * MIB).map(|at| u8::try_from(at / 7919 % 251).unwrap()).collect();
    let pieces: Vec<_> = all.chunks(300_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    (all, stream::iter(pieces).boxed())
}

fn short() -> ByteStream {
    stream::iter([Ok(Bytes::from_static(b"GIF89a short"))]).boxed()
}

async fn read(objects: &S3Objects, name: &str) -> Option<Vec<u8>> {
    let (_, stream) = objects.get(&key(name), None).await.unwrap()?;
    Some(stream.try_collect::<Vec<_>>().await.unwrap().concat())
}

/// Number of multipart uploads that are neither complete nor aborted. `None` if the server cannot list them.
async fn open_uploads(bucket: &Bucket) -> Option<usize> {
    let listed = bucket.client().list_multipart_uploads().bucket(bucket.name()).send().await.ok()?;
    Some(listed.uploads().len())
}

/// Settings that connect through the proxy, with short timeouts.
fn through(bucket: &Bucket, proxy: &FaultProxy) -> ObjectsConfig {
    let hasty = Duration::from_millis(400);
    let s3_storage_endpoint = Some(format!("http://{}", proxy.address()));
    let s3 = S3Tuning { timeout: hasty, connect_timeout: hasty, ..S3Tuning::default() };
    ObjectsConfig { s3_storage_endpoint, s3, ..bucket.config() }
}

async fn proxy(bucket: &Bucket) -> FaultProxy {
    let address = bucket.endpoint().trim_start_matches("http://").trim_end_matches('/');
    FaultProxy::new(tokio::net::lookup_host(address).await.unwrap().next().unwrap()).await
}

#[tokio::test]
async fn a_long_body_is_sent_in_parts() {
    let Some(bucket) = Bucket::new() else { return };
    let objects = bucket.open().await;
    let (all, body) = long(19);
    let put =
        objects.put(&key("long"), body, &PutOptions { content_type: Some("video/mp4".to_owned()), ..OPTIONS }).await;
    let put = put.unwrap();
    assert_eq!((put.size, put.content_type.as_str()), (all.len() as u64, "video/mp4"));
    assert_eq!(objects.head(&key("long")).await.unwrap(), Some(put));
    assert!(read(&objects, "long").await.unwrap() == all);
    let tag = bucket.client().head_object().bucket(bucket.name()).key("long").send().await.unwrap().e_tag.unwrap();
    assert!(tag.contains("-3"), "consists of three parts: {tag}");
    let (_, part) = objects.get(&key("long"), Some(9_000_000..9_000_100)).await.unwrap().unwrap();
    assert_eq!(part.try_collect::<Vec<_>>().await.unwrap().concat(), all[9_000_000..9_000_100]);
}

#[tokio::test]
async fn a_long_body_skips_an_existing_object_too() {
    let Some(bucket) = Bucket::new() else { return };
    let objects = bucket.open().await;
    // Stored while the parts are sent.
    let (_, body) = long(17);
    let other = objects.clone();
    let late = stream::once(async move {
        other.put(&key("rex"), short(), &OPTIONS).await.unwrap();
        Ok(Bytes::from_static(b"the end"))
    });
    let answer = objects.put(&key("rex"), body.chain(late).boxed(), &KEEP).await.unwrap();
    assert_eq!((answer.size, answer.content_type.as_str()), (12, "image/gif"));
    assert_eq!(read(&objects, "rex").await.as_deref(), Some(&b"GIF89a short"[..]));
    assert!(matches!(open_uploads(&bucket).await, None | Some(0)));
}

#[tokio::test]
async fn a_long_body_that_is_rejected_or_fails_leaves_nothing() {
    let Some(bucket) = Bucket::new() else { return };
    let objects = bucket.open().await;
    let limited = PutOptions { max_bytes: 18 * MIB as u64, ..OPTIONS };
    let refused = objects.put(&key("rex"), long(19).1, &limited).await;
    assert!(matches!(refused, Err(ObjectError::TooLarge { limit }) if limit == limited.max_bytes), "{refused:?}");
    let broken = long(17).1.chain(stream::iter([Err(ObjectError::Body("reset".into()))])).boxed();
    let refused = objects.put(&key("rex"), broken, &OPTIONS).await;
    assert!(matches!(refused, Err(ObjectError::Body(_))), "{refused:?}");
    assert_eq!(objects.head(&key("rex")).await.unwrap(), None);
    assert!(objects.list("", None, 10).await.unwrap().is_empty());
    assert!(matches!(open_uploads(&bucket).await, None | Some(0)));
}

#[tokio::test]
async fn a_dropped_put_is_aborted() {
    let Some(bucket) = Bucket::new() else { return };
    let objects = bucket.open().await;
    if open_uploads(&bucket).await.is_none() {
        kennel_testkit::backends::skip("the server cannot list uploads");
        return;
    }
    {
        let rex = key("rex");
        let mut putting = objects.put(&rex, long(17).1.chain(stream::pending()).boxed(), &OPTIONS);
        let uploading = async {
            while open_uploads(&bucket).await != Some(1) {
                assert!(poll!(&mut putting).is_pending());
            }
        };
        timeout(Duration::from_secs(20), uploading).await.unwrap();
    }
    let called_off = async { while open_uploads(&bucket).await != Some(0) {} };
    timeout(Duration::from_secs(20), called_off).await.unwrap();
    assert_eq!(objects.head(&key("rex")).await.unwrap(), None);
}

/// Fetches a URL without credentials; returns the status and the body.
async fn fetch(url: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
    let request = format!("GET /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let answer = String::from_utf8_lossy(&answer).into_owned();
    (answer.split(' ').nth(1).unwrap().parse().unwrap(), answer)
}

#[tokio::test]
async fn a_presigned_url_works_until_it_expires() {
    let Some(bucket) = Bucket::signing() else { return };
    let objects = bucket.open().await;
    objects.put(&key("a/rex.gif"), short(), &OPTIONS).await.unwrap();
    let url = objects.presign(&key("a/rex.gif"), Duration::from_mins(10)).await.unwrap().unwrap();
    let (status, answer) = fetch(&url).await;
    assert_eq!(status, 200, "{answer}");
    assert!(answer.ends_with("GIF89a short") && answer.to_lowercase().contains("content-type: image/gif"), "{answer}");
    let unsigned = url.split('?').next().unwrap();
    if fetch(unsigned).await.0 == 200 {
        let required = std::env::var("REQUIRE_BACKENDS").unwrap_or_default();
        assert!(!required.split(',').any(|name| name == "s3"), "an S3 that checks signatures is required");
        kennel_testkit::backends::skip("the server checks no signatures");
        return;
    }
    assert_eq!(fetch(&url.replace("rex.gif", "bello.gif")).await.0, 403, "it is for one object");
    let brief = objects.presign(&key("a/rex.gif"), Duration::ZERO).await.unwrap().unwrap();
    let ran_out = async { while fetch(&brief).await.0 != 403 {} };
    timeout(Duration::from_secs(20), ran_out).await.unwrap();
}

#[tokio::test]
async fn urls_have_the_public_endpoint_and_a_lifetime_of_at_most_a_week() {
    let Some(bucket) = Bucket::new() else { return };
    let config =
        ObjectsConfig { s3_storage_endpoint_public: Some("https://pictures.example".to_owned()), ..bucket.config() };
    let objects = S3Objects::open(&config).await.unwrap();
    let url = objects.presign(&key("rex"), Duration::MAX).await.unwrap().unwrap();
    assert!(url.starts_with(&format!("https://pictures.example/{}/rex?", bucket.name())), "{url}");
    assert!(url.contains("X-Amz-Expires=604800&"), "{url}");
}

#[tokio::test]
async fn a_bucket_is_created_only_if_configured() {
    let Some(bucket) = Bucket::new() else { return };
    let closed = ObjectsConfig { s3_storage_create_bucket: false, ..bucket.config() };
    let refused = connect(&closed, &SystemClock).await.err().unwrap();
    assert!(matches!(&refused, ConnectError::Bucket { bucket: name, .. } if name == bucket.name()), "{refused:?}");
    let open = bucket.config();
    connect(&open, &SystemClock).await.unwrap().ping().await.unwrap();
    connect(&open, &SystemClock).await.unwrap().ping().await.unwrap();
    connect(&closed, &SystemClock).await.unwrap().ping().await.unwrap();
}

#[tokio::test]
async fn wrong_credentials_are_not_an_outage_and_are_not_shown() {
    let Some(bucket) = Bucket::signing() else { return };
    drop(bucket.open().await);
    let config = ObjectsConfig { s3_storage_secret: Some("hunter2-hunter2".into()), ..bucket.config() };
    match S3Objects::open(&config).await {
        Err(ObjectError::Backend(source)) => {
            assert!(!format!("{source:?}").contains("hunter2"));
            assert!(source.to_string().contains("its secret is wrong"), "{source}");
        }
        Err(error) => panic!("{error:?}"),
        Ok(_) => kennel_testkit::backends::skip("the server checks no signatures"),
    }
}

#[tokio::test]
async fn foreign_objects_are_ignored() {
    let Some(bucket) = Bucket::new() else { return };
    let objects = bucket.open().await;
    for name in ["README.TXT", "a", "b b", "c"] {
        let put = bucket.client().put_object().bucket(bucket.name()).key(name).body(Bytes::from_static(b"x").into());
        put.send().await.unwrap();
    }
    let names = |found: Vec<kennel_core::objects::ObjectMeta>| -> Vec<String> {
        found.into_iter().map(|meta| meta.key.into()).collect()
    };
    assert_eq!(names(objects.list("", None, 2).await.unwrap()), ["a", "c"], "pages are full all the same");
    assert_eq!(names(objects.list("", None, 9).await.unwrap()), ["a", "c"]);
}

#[tokio::test]
async fn an_unreachable_server_fails_fast_and_recovers() {
    let Some(bucket) = Bucket::new() else { return };
    let proxy = proxy(&bucket).await;
    drop(bucket.open().await);
    let objects = S3Objects::open(&through(&bucket, &proxy)).await.unwrap();
    objects.put(&key("rex"), short(), &OPTIONS).await.unwrap();
    for mode in [Mode::Drop, Mode::BlackHole] {
        proxy.set(mode);
        let began = Instant::now();
        let rex = key("rex");
        let got = objects.get(&rex, None).await.map(|found| found.is_some());
        assert!(matches!(got, Err(ObjectError::Unavailable(_))), "{mode:?}: {got:?}");
        let put = objects.put(&key("new"), short(), &OPTIONS).await;
        assert!(matches!(put, Err(ObjectError::Unavailable(_))), "{mode:?}: {put:?}");
        assert!(matches!(objects.ping().await, Err(ObjectError::Unavailable(_))), "{mode:?}");
        assert!(matches!(objects.list("", None, 9).await, Err(ObjectError::Unavailable(_))), "{mode:?}");
        assert!(matches!(objects.delete(&rex).await, Err(ObjectError::Unavailable(_))), "{mode:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "{mode:?}: {:?}", began.elapsed());
        proxy.set(Mode::Pass);
        let back = async { while objects.ping().await.is_err() {} };
        timeout(Duration::from_secs(20), back).await.unwrap();
    }
    assert_eq!(read(&objects, "rex").await.as_deref(), Some(&b"GIF89a short"[..]));
}

#[tokio::test]
async fn an_outage_during_a_long_body_stores_nothing() {
    let Some(bucket) = Bucket::new() else { return };
    let (proxy, direct) = (proxy(&bucket).await, bucket.open().await);
    let hasty = through(&bucket, &proxy);
    let s3 = S3Tuning { timeout: Duration::from_secs(3), ..hasty.s3 };
    let patient = ObjectsConfig { s3, ..hasty };
    let objects = S3Objects::open(&patient).await.unwrap();
    direct.put(&key("rex"), short(), &OPTIONS).await.unwrap();
    let (_, body) = long(17);
    let failing = stream::once(async move {
        proxy.set(Mode::Drop);
        // Alive until the end of the body, and so of the put.
        std::mem::forget(proxy);
        Ok(Bytes::from_static(b"the end"))
    });
    let put = objects.put(&key("rex"), body.chain(failing).boxed(), &OPTIONS).await;
    assert!(matches!(put, Err(ObjectError::Unavailable(_))), "{put:?}");
    assert_eq!(read(&direct, "rex").await.as_deref(), Some(&b"GIF89a short"[..]));
}

#[tokio::test]
async fn a_reader_gets_an_error_when_the_server_fails() {
    let Some(bucket) = Bucket::new() else { return };
    let (proxy, direct) = (proxy(&bucket).await, bucket.open().await);
    let (all, body) = long(9);
    direct.put(&key("long"), body, &OPTIONS).await.unwrap();
    let objects = S3Objects::open(&through(&bucket, &proxy)).await.unwrap();
    for mode in [Mode::CutAfter(MIB), Mode::BlackHole] {
        proxy.set(Mode::Pass);
        let (_, mut stream) = objects.get(&key("long"), None).await.unwrap().unwrap();
        let mut got = stream.next().await.unwrap().unwrap().len();
        proxy.set(mode);
        let end = async {
            loop {
                match stream.next().await {
                    Some(Ok(piece)) => got += piece.len(),
                    other => return other.map(|piece| piece.map(|_| ())),
                }
            }
        };
        let end = timeout(Duration::from_secs(30), end).await.unwrap();
        assert!(matches!(end, Some(Err(ObjectError::Unavailable(_)))), "{mode:?}: {end:?} after {got}");
        assert!(got < all.len());
    }
}
