use std::io::ErrorKind;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::*;
use crate::probe::{Response, get};

async fn ask(upstream: &Upstream, path: &str) -> Response {
    get(upstream.address(), path).await.unwrap()
}

fn message(response: &Response) -> Value {
    serde_json::from_slice::<Value>(&response.body).unwrap()["message"].clone()
}

/// The path of a random picture.
async fn named(upstream: &Upstream, path: &str) -> String {
    let url = message(&ask(upstream, path).await).as_str().unwrap().to_owned();
    url.strip_prefix(&format!("http://{}", upstream.address())).unwrap().to_owned()
}

const HUSKY: &str = "/api/breed/husky/images/random";

#[tokio::test]
async fn speaks_the_contract() {
    let upstream = Upstream::new().await;
    let breeds = ask(&upstream, "/api/breeds/list/all").await;
    assert_eq!((breeds.status, breeds.header("content-type")), (200, Some("application/json")));
    assert_eq!(message(&breeds)["husky"], json!([]));
    assert!(message(&breeds)["hound"].as_array().unwrap().contains(&json!("afghan")));

    for (path, text) in [
        ("/api/breed/cat/images/random", "Breed not found (main breed does not exist)"),
        ("/api/breed/hound/cat/images/random", "Breed not found (sub breed does not exist)"),
    ] {
        let unknown = ask(&upstream, path).await;
        let body: Value = serde_json::from_slice(&unknown.body).unwrap();
        assert_eq!(unknown.status, 404);
        assert_eq!(body, json!({ "status": "error", "message": text, "code": 404 }));
    }
    assert_eq!(ask(&upstream, "/elsewhere").await.status, 404);
    let counts = [Route::Breeds, Route::Random, Route::Picture, Route::Other].map(|route| upstream.requests(route));
    assert_eq!(counts, [1, 2, 0, 1]);
}

#[tokio::test]
async fn its_pictures_are_real_and_differ() {
    let upstream = Upstream::new().await;
    let mut files = Vec::new();
    for (path, content_type, format) in [
        (HUSKY, "image/jpeg", image::ImageFormat::Jpeg),
        ("/api/breed/hound/afghan/images/random", "image/png", image::ImageFormat::Png),
        (HUSKY, "image/jpeg", image::ImageFormat::Jpeg),
    ] {
        let picture = ask(&upstream, &named(&upstream, path).await).await;
        assert_eq!(picture.header("content-type"), Some(content_type));
        assert_eq!(picture.header("content-length"), Some(picture.body.len().to_string().as_str()));
        image::load_from_memory_with_format(&picture.body, format).unwrap();
        files.push(picture.body);
    }
    assert!(files[0] != files[1] && files[0] != files[2]);
}

#[tokio::test]
async fn misbehaves_in_the_api_when_told() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::NotJson);
    assert!(serde_json::from_slice::<Value>(&ask(&upstream, HUSKY).await.body).is_err());
    upstream.behave(Behaviour::WrongShape);
    assert_eq!(message(&ask(&upstream, HUSKY).await), json!(42));
    upstream.behave(Behaviour::PictureUrl("file:///etc/passwd".to_owned()));
    assert_eq!(message(&ask(&upstream, HUSKY).await), json!("file:///etc/passwd"));
    upstream.behave(Behaviour::Status(503, Some(7)));
    let refused = ask(&upstream, HUSKY).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("7")));
    upstream.behave(Behaviour::CloseConnection);
    assert!(get(upstream.address(), HUSKY).await.is_err());
    upstream.behave(Behaviour::Slow(Duration::from_millis(150)));
    let began = Instant::now();
    assert_eq!(ask(&upstream, HUSKY).await.status, 200);
    assert!(began.elapsed() >= Duration::from_millis(150));
    upstream.behave(Behaviour::Normal);
    assert!(named(&upstream, HUSKY).await.starts_with("/images/husky/"));
}

#[tokio::test]
async fn misbehaves_in_pictures_when_told() {
    let upstream = Upstream::new().await;
    let path = named(&upstream, HUSKY).await;
    let whole = ask(&upstream, &path).await.body;

    upstream.behave(Behaviour::LyingLength);
    let lying = ask(&upstream, &path).await;
    assert_eq!(lying.header("content-length"), Some((whole.len() + 1_000).to_string().as_str()));
    assert_eq!(lying.body, whole);
    upstream.behave(Behaviour::TruncatedPicture);
    assert_eq!(ask(&upstream, &path).await.body, whole[..whole.len() / 2]);
    upstream.behave(Behaviour::NotAPicture);
    let script = ask(&upstream, &path).await;
    assert_eq!(script.header("content-type"), Some("image/jpeg"));
    assert!(script.body.starts_with(b"<script>"));
    upstream.behave(Behaviour::RedirectTo("http://10.0.0.1/x.jpg".to_owned()));
    let moved = ask(&upstream, &path).await;
    assert_eq!((moved.status, moved.header("location")), (302, Some("http://10.0.0.1/x.jpg")));
    upstream.behave(Behaviour::RedirectLoop);
    let around = format!("http://{}{path}", upstream.address());
    assert_eq!(ask(&upstream, &path).await.header("location"), Some(around.as_str()));
    upstream.behave(Behaviour::HugePicture);
    let huge = ask(&upstream, &path).await;
    assert_eq!(huge.header("transfer-encoding"), Some("chunked"));
    assert!(huge.body.len() > 10 * 1024 * 1024, "the client stops, not the server");
    assert!(huge.body.windows(whole.len()).next().is_some());
}

#[tokio::test]
async fn goes_down_and_comes_back_on_its_port() {
    let upstream = Upstream::new().await;
    upstream.behave(Behaviour::Slow(Duration::from_mins(10)));
    let (broken, ()) = tokio::join!(get(upstream.address(), HUSKY), async {
        let asked = async {
            while upstream.requests(Route::Random) == 0 {
                tokio::task::yield_now().await;
            }
        };
        timeout(Duration::from_secs(10), asked).await.unwrap();
        upstream.stop().await;
    });
    assert!(broken.is_err(), "open connections break");
    // A connection that the kernel took before the listener was closed is reset.
    let kind = get(upstream.address(), HUSKY).await.unwrap_err().kind();
    assert!(matches!(kind, ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset), "{kind}");
    upstream.behave(Behaviour::Normal);
    upstream.start().await;
    upstream.start().await;
    assert_eq!(ask(&upstream, HUSKY).await.status, 200);
}
