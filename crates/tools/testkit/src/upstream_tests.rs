use std::io::ErrorKind;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::*;
use crate::probe::{Response, get};

async fn request(upstream: &Upstream, path: &str) -> Response {
    get(upstream.address(), path).await.unwrap()
}

fn message(response: &Response) -> Value {
    serde_json::from_slice::<Value>(&response.body).unwrap()["message"].clone()
}

/// Requests a random image and returns its path.
async fn image_path(upstream: &Upstream, path: &str) -> String {
    let url = message(&request(upstream, path).await).as_str().unwrap().to_owned();
    url.strip_prefix(&format!("http://{}", upstream.address())).unwrap().to_owned()
}

const HUSKY: &str = "/api/breed/husky/images/random";

#[tokio::test]
async fn implements_the_contract() {
    let upstream = Upstream::new().await;
    let breeds = request(&upstream, "/api/breeds/list/all").await;
    assert_eq!((breeds.status, breeds.header("content-type")), (200, Some("application/json")));
    assert_eq!(message(&breeds)["husky"], json!([]));
    assert!(message(&breeds)["hound"].as_array().unwrap().contains(&json!("afghan")));

    for (path, text) in [
        ("/api/breed/cat/images/random", "Breed not found (main breed does not exist)"),
        ("/api/breed/hound/cat/images/random", "Breed not found (sub breed does not exist)"),
    ] {
        let unknown = request(&upstream, path).await;
        let body: Value = serde_json::from_slice(&unknown.body).unwrap();
        assert_eq!(unknown.status, 404);
        assert_eq!(body, json!({ "status": "error", "message": text, "code": 404 }));
    }
    assert_eq!(request(&upstream, "/elsewhere").await.status, 404);
    let counts = [Route::Breeds, Route::Random, Route::Image, Route::Other].map(|route| upstream.requests(route));
    assert_eq!(counts, [1, 2, 0, 1]);
}

#[tokio::test]
async fn its_images_are_valid_and_differ() {
    let upstream = Upstream::new().await;
    let mut files = Vec::new();
    for (path, content_type, format) in [
        (HUSKY, "image/jpeg", image::ImageFormat::Jpeg),
        ("/api/breed/hound/afghan/images/random", "image/png", image::ImageFormat::Png),
        (HUSKY, "image/jpeg", image::ImageFormat::Jpeg),
    ] {
        let image = request(&upstream, &image_path(&upstream, path).await).await;
        assert_eq!(image.header("content-type"), Some(content_type));
        assert_eq!(image.header("content-length"), Some(image.body.len().to_string().as_str()));
        image::load_from_memory_with_format(&image.body, format).unwrap();
        files.push(image.body);
    }
    assert!(files[0] != files[1] && files[0] != files[2]);
}

#[tokio::test]
async fn the_api_misbehaves_on_demand() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::NotJson);
    assert!(serde_json::from_slice::<Value>(&request(&upstream, HUSKY).await.body).is_err());
    upstream.behave(Behaviour::UnexpectedJson);
    assert_eq!(message(&request(&upstream, HUSKY).await), json!(42));
    upstream.behave(Behaviour::ImageUrl("file:///etc/passwd".to_owned()));
    assert_eq!(message(&request(&upstream, HUSKY).await), json!("file:///etc/passwd"));
    upstream.behave(Behaviour::Status(503, Some(7)));
    let refused = request(&upstream, HUSKY).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("7")));
    upstream.behave(Behaviour::CloseConnection);
    assert!(get(upstream.address(), HUSKY).await.is_err());
    upstream.behave(Behaviour::Slow(Duration::from_millis(150)));
    let started = Instant::now();
    assert_eq!(request(&upstream, HUSKY).await.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(150));
    upstream.behave(Behaviour::Normal);
    assert!(image_path(&upstream, HUSKY).await.starts_with("/images/husky/"));
}

#[tokio::test]
async fn images_misbehave_on_demand() {
    let upstream = Upstream::new().await;
    let path = image_path(&upstream, HUSKY).await;
    let full = request(&upstream, &path).await.body;

    upstream.behave(Behaviour::WrongContentLength);
    let short = request(&upstream, &path).await;
    assert_eq!(short.header("content-length"), Some((full.len() + 1_000).to_string().as_str()));
    assert_eq!(short.body, full);
    upstream.behave(Behaviour::TruncatedImage);
    assert_eq!(request(&upstream, &path).await.body, full[..full.len() / 2]);
    upstream.behave(Behaviour::NotAnImage);
    let script = request(&upstream, &path).await;
    assert_eq!(script.header("content-type"), Some("image/jpeg"));
    assert!(script.body.starts_with(b"<script>"));
    upstream.behave(Behaviour::RedirectTo("http://10.0.0.1/x.jpg".to_owned()));
    let moved = request(&upstream, &path).await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("http://10.0.0.1/x.jpg")));
    upstream.behave(Behaviour::RedirectLoop);
    let around = format!("http://{}{path}", upstream.address());
    assert_eq!(request(&upstream, &path).await.header("location"), Some(around.as_str()));
    upstream.behave(Behaviour::EndlessImage);
    let huge = request(&upstream, &path).await;
    assert_eq!(huge.header("transfer-encoding"), Some("chunked"));
    assert!(huge.body.len() > 10 * 1024 * 1024, "the client ends the download, not the server");
    assert!(huge.body.windows(full.len()).next().is_some());
}

#[tokio::test]
async fn stops_and_starts_again_on_the_same_port() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::Slow(Duration::from_mins(10)));
    let (broken, ()) = tokio::join!(get(upstream.address(), HUSKY), async {
        let requested = async {
            while upstream.requests(Route::Random) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), requested).await.unwrap();
        upstream.stop().await;
    });
    assert!(broken.is_err(), "open connections break");
    // A connection that the kernel took before the listener was closed is reset.
    let kind = get(upstream.address(), HUSKY).await.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{kind}");
    upstream.behave(Behaviour::Normal);
    upstream.start().await;
    upstream.start().await;
    assert_eq!(request(&upstream, HUSKY).await.status, 200);
}
