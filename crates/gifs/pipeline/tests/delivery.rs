//! Files that clients download from the object store.

#![cfg(feature = "s3")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use kennel_testkit::{TestBucket, probe};

use support::{Variables, get, json, path, stop};

/// The address and the path of a URL.
fn parts(url: &str) -> (SocketAddr, String) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url}"));
    let (host, path) = rest.split_once('/').unwrap();
    (host.parse().unwrap(), format!("/{path}"))
}

#[tokio::test]
async fn clients_are_redirected_to_signed_urls() {
    let Some(bucket) = TestBucket::signing() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut variables = Variables::new().and("DELIVERY", "redirect").and("DELIVERY_URL_TTL", "1h");
    for (name, value) in bucket.variables() {
        variables = variables.and(name, &value);
    }
    let mut process = variables.start(&folder, &["serve"]);
    let http = process.listener("gif-api.http").await;
    process.ready(http, "/api/v1/gifs/search?q=cat").await;
    let (_, page) = json(http, "/api/v1/gifs/search?q=cat").await;
    let gif = &page["items"][0];
    process.shows(http, &format!("/api/v1/gifs/{}", gif["id"].as_str().unwrap()), r#""state":"stored""#).await;

    for (variant, content_type) in [("original", "image/gif"), ("poster", "image/webp"), ("small", "image/gif")] {
        let file = path(&gif["files"][variant]);
        let redirect = get(http, &file, &[("range", "bytes=0-5")]).await;
        assert_eq!((redirect.status, redirect.header("cache-control")), (307, Some("private, max-age=1800")));
        let url = redirect.header("location").unwrap();
        assert!(url.starts_with(bucket.endpoint()) && url.contains("X-Amz-Expires=3600&"), "{url}");
        let (address, at_store) = parts(url);
        let full = get(address, &at_store, &[]).await;
        assert_eq!((full.status, full.header("content-type")), (200, Some(content_type)), "{}", full.head);
        let range = get(address, &at_store, &[("range", "bytes=0-5")]).await;
        assert_eq!((range.status, &range.body[..]), (206, &full.body[..6]));
        // The signature is for GET alone, so the headers are from here.
        assert_eq!(probe::request(address, "HEAD", &at_store, &[]).await.unwrap().status, 403);
        let head = probe::request(http, "HEAD", &file, &[]).await.unwrap();
        let length = full.body.len().to_string();
        assert_eq!((head.status, head.header("content-length")), (200, Some(length.as_str())));
        let tag = head.header("etag").unwrap();
        assert_eq!(get(http, &file, &[("if-none-match", tag)]).await.status, 304);
    }
    let unknown = "/api/v1/gifs/01900000-0000-7000-8000-000000000000/file";
    assert_eq!(get(http, unknown, &[]).await.status, 404);
    let output = process.output();
    assert!(!output.contains("X-Amz-Signature"), "{output}");
    stop(process).await;
}

#[tokio::test]
async fn only_s3_can_be_redirected_to() {
    let folder = tempfile::tempdir().unwrap();
    let variables = Variables::new().and("DELIVERY", "redirect").and("DELIVERY_URL_TTL", "9s");
    let mut process = variables.start(&folder, &["serve"]);
    let status = process.wait(Duration::from_secs(20)).await;
    let output = process.output();
    assert_eq!(status.code(), Some(64), "{output}");
    assert!(output.contains("DELIVERY (environment): can be `redirect` only if OBJECTS is `s3`"), "{output}");
    assert!(output.contains("DELIVERY_URL_TTL (environment): must be 10s to 168h"), "{output}");
}
