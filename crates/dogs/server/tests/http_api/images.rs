//! Images: stored and served, completely and by range.

use kennel_config::{ByteSize, HumanDuration};
use kennel_http::HttpConfig;
use kennel_net::ServerConfig;
use kennel_testkit::upstream::images;
use reqwest::header::HeaderValue;
use serde_json::json;

use crate::support::{FaultMode, Setup, TestApp, TestResponse};

async fn dog(app: &TestApp) -> String {
    format!("/api/v1/dogs/{}", app.dog("husky").await["id"].as_str().unwrap())
}

async fn put(app: &TestApp, path: &str, content_type: &str, image: impl Into<reqwest::Body>) -> TestResponse {
    let request = app.request("PUT", &format!("{path}/photo")).header("content-type", content_type);
    TestResponse::of(request.body(image)).await
}

#[tokio::test]
async fn an_image_is_served_as_it_was_stored() {
    let app = TestApp::start().await;
    let path = dog(&app).await;
    app.get(&format!("{path}/photo")).await.expect(404);
    let image = images::png("rex");
    // The bytes determine the format, not the content type of the request.
    let stored = put(&app, &path, "image/jpeg", image.clone()).await.expect(200);
    assert_eq!((stored.header("etag"), &stored.json()["revision"]), ("\"2\"", &json!(2)));
    let url = stored.json()["image_url"].as_str().unwrap().to_owned();
    let photo = app.get(&url).await.expect(200);
    assert_eq!((photo.header("content-type"), photo.header("x-content-type-options")), ("image/png", "nosniff"));
    assert_eq!(photo.header("content-length"), image.len().to_string());
    assert_eq!((photo.header("accept-ranges"), photo.header("cache-control")), ("bytes", "no-cache"));
    assert_eq!(photo.body, image);
    let tag = photo.header("etag");
    assert_eq!(tag.len(), 66, "{tag}");
    let known = TestResponse::of(app.request("GET", &url).header("if-none-match", tag)).await.expect(304);
    assert_eq!((known.header("etag"), known.body.len()), (tag, 0));
    let head = TestResponse::of(app.request("HEAD", &url)).await;
    assert_eq!((head.status, head.header("content-length")), (200, image.len().to_string().as_str()));

    assert_eq!(put(&app, &path, "image/png", image).await.expect(200).header("etag"), "\"2\"", "the same image again");
    let other = put(&app, &path, "image/png", images::png("rover")).await.expect(200);
    assert_eq!(other.header("etag"), "\"3\"");
    let changed = TestResponse::of(app.request("GET", &url).header("if-none-match", tag)).await.expect(200);
    assert_ne!(changed.header("etag"), tag);
}

#[tokio::test]
async fn invalid_images_are_rejected() {
    let app = TestApp::with(Setup { image_limit: 64 * 1024, ..Setup::default() }).await;
    let path = dog(&app).await;
    put(&app, &path, "image/jpeg", "<script>alert(1)</script>").await.expect(415);
    put(&app, &path, "image/jpeg", "").await.expect(415);
    put(&app, &path, "text/html", images::jpeg("rex")).await.expect(415);
    put(&app, &path, "IMAGE/JPEG", images::jpeg("rex")).await.expect(200);
    let large = put(&app, &path, "image/jpeg", vec![0xff; 64 * 1024 + 1]).await.expect(413);
    assert!(large.json()["detail"].as_str().unwrap().contains("65536"));
    // A body without a content length.
    let pieces = futures_util::stream::iter((0..65).map(|_| Ok::<_, std::io::Error>(vec![0xff; 1024])));
    put(&app, &path, "image/jpeg", reqwest::Body::wrap_stream(pieces)).await.expect(413);
    put(&app, "/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10", "image/jpeg", images::jpeg("rex")).await.expect(404);
    assert_eq!(app.get(&path).await.json()["revision"], 2, "only the valid image is stored");
}

#[tokio::test]
async fn an_image_over_a_slow_connection_is_stored() {
    let server = ServerConfig { request_timeout: HumanDuration::from_secs(1), ..ServerConfig::default() };
    let http = HttpConfig { server, ..Setup::default().http };
    let app = TestApp::with(Setup { http, ..Setup::default() }).await;
    let path = dog(&app).await;
    let image = images::jpeg("rex");
    let pieces: Vec<_> = image.chunks(image.len().div_ceil(20)).map(bytes::Bytes::copy_from_slice).collect();
    let slowly = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        pieces.next().map(|piece| (Ok::<_, std::io::Error>(piece), pieces))
    });
    put(&app, &path, "image/jpeg", reqwest::Body::wrap_stream(slowly)).await.expect(200);
    assert_eq!(app.get(&format!("{path}/photo")).await.expect(200).body, image);
}

#[tokio::test]
async fn a_silent_client_gets_408() {
    let http = HttpConfig { body_idle_timeout: HumanDuration::from_millis(100), ..Setup::default().http };
    let app = TestApp::with(Setup { http, ..Setup::default() }).await;
    let path = dog(&app).await;
    let silent = || {
        let first = futures_util::stream::once(async { Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"{")) });
        reqwest::Body::wrap_stream(futures_util::StreamExt::chain(first, futures_util::stream::pending()))
    };
    for (method, path, content_type) in [
        ("PUT", format!("{path}/photo"), "image/jpeg"),
        ("POST", "/api/v1/dogs".to_owned(), "application/json"),
        ("POST", "/api/v1/dogs/import".to_owned(), "application/x-ndjson"),
    ] {
        let request = app.request(method, &path).header("content-type", content_type).body(silent());
        let response = TestResponse::of(request).await.expect(408);
        assert_eq!(response.json()["code"], "client_timeout", "{path}");
    }
}

/// A small file with this image size in its header.
fn png_of(width: u32, height: u32) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |sum, byte| {
            (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { 0xedb8_8320 ^ (sum >> 1) } else { sum >> 1 })
        })
    };
    let mut file = images::png("rex");
    file[16..20].copy_from_slice(&width.to_be_bytes());
    file[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc(&file[12..29]);
    file[29..33].copy_from_slice(&sum.to_be_bytes());
    file
}

#[tokio::test]
async fn images_without_a_thumbnail_are_rejected_with_the_reason() {
    let app = TestApp::start().await;
    let path = dog(&app).await;
    let (jpeg, png) = (images::jpeg("rex"), images::png("rex"));
    for (image, reason) in [
        (b"GIF89a".to_vec(), "image is damaged"),
        (jpeg[..jpeg.len() / 2].to_vec(), "image is damaged"),
        (png[..png.len() / 2].to_vec(), "image is damaged"),
        (png_of(8_000, 6_000), "at most 32 megapixels"),
        (png_of(8_000, 4_000), "the limit is 64 MiB"),
    ] {
        let response = put(&app, &path, "image/png", image).await.expect_invalid("photo");
        assert!(response.json().to_string().contains(reason), "{}", response.json());
    }
    assert_eq!(app.get(&path).await.json()["revision"], 1);
    app.get(&format!("{path}/photo")).await.expect(404);

    // From the source, it is not an error of the client.
    app.source.set_fault(FaultMode::DamagedImage);
    app.get("/api/v1/dogs/husky/image").await.expect(502);
}

#[tokio::test]
async fn an_image_may_be_larger_than_other_bodies() {
    let http = HttpConfig { body_limit: ByteSize(16), ..Setup::default().http };
    let app = TestApp::with(Setup { http, ..Setup::default() }).await;
    let created = app.get("/api/v1/dogs/husky/image").await.expect(200).json();
    let path = format!("/api/v1/dogs/{}", created["id"].as_str().unwrap());
    put(&app, &path, "image/jpeg", images::jpeg("rex")).await.expect(200);
}

#[tokio::test]
async fn an_image_is_only_stored_at_the_expected_revision() {
    let app = TestApp::start().await;
    let path = dog(&app).await;
    let at = |tag: &'static str| {
        let request = app.request("PUT", &format!("{path}/photo")).header("if-match", tag);
        TestResponse::of(request.body(images::jpeg("rex")))
    };
    at("\"2\"").await.expect(412);
    at("\"1\"").await.expect(200);
}

#[tokio::test]
async fn ranges_are_served() {
    let app = TestApp::start().await;
    let path = dog(&app).await;
    let image = images::png("rex");
    put(&app, &path, "image/png", image.clone()).await.expect(200);
    let photo = format!("{path}/photo");
    let get_range = |range: &str| TestResponse::of(app.request("GET", &photo).header("range", range));
    let size = image.len();
    for (range, from, to) in [("bytes=0-3", 0, 4), ("bytes=10-", 10, size), ("bytes=-5", size - 5, size)] {
        let response = get_range(range).await.expect(206);
        assert_eq!(response.body, image[from..to], "{range}");
        assert_eq!(response.header("content-range"), format!("bytes {from}-{}/{size}", to - 1));
        assert_eq!(response.header("content-length"), (to - from).to_string());
    }
    // Ranges are only defined for GET (RFC 9110, section 14.2).
    let head = TestResponse::of(app.request("HEAD", &photo).header("range", "bytes=0-3")).await.expect(200);
    assert_eq!((head.header("content-length"), head.header("content-range")), (size.to_string().as_str(), ""));
    let beyond = get_range(&format!("bytes={size}-")).await.expect(416);
    assert_eq!(beyond.header("content-range"), format!("bytes */{size}"));
    assert_eq!(beyond.json()["code"], "range_not_satisfiable");
    for ignored in ["bytes=0-1,4-5", "lines=1-2", "bytes=9-3"] {
        assert_eq!(get_range(ignored).await.expect(200).body, image, "{ignored}");
    }
    let tag = get_range("bytes=0-0").await.header("etag").to_owned();
    let if_range =
        |tag: &str| TestResponse::of(app.request("GET", &photo).header("range", "bytes=0-3").header("if-range", tag));
    if_range(&tag).await.expect(206);
    assert_eq!(if_range("\"another\"").await.expect(200).body, image);
    // An ignored range must be valid text, too.
    let unreadable = HeaderValue::from_bytes(b"\xc2\x84").unwrap();
    let request = app.request("GET", &photo).header("range", unreadable).header("if-range", "\"another\"");
    TestResponse::of(request).await.expect_invalid("range");
}

#[tokio::test]
async fn missing_thumbnails_are_not_found() {
    let app = TestApp::start().await;
    let path = dog(&app).await;
    put(&app, &path, "image/png", images::png("rex")).await.expect(200);
    app.get(&format!("{path}/photo?variant=thumbnail")).await.expect(404);
    app.get(&format!("{path}/photo?variant=huge")).await.expect_invalid("variant");
    app.get(&format!("{path}/photo?variant=original")).await.expect(200);
}
