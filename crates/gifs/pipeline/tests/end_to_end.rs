//! The whole pipeline, offline: a search, its files, and what is answered while the catalogue is gone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use kennel_service::Service as _;
use kennel_testkit::access::{Addresses, Callers};
use kennel_testkit::probe;
use serde_json::Value;

use support::{Variables, get, json, path, stop};

#[tokio::test]
async fn a_search_finds_gifs_whose_files_can_be_downloaded() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Variables::new().start(&folder, &["serve"]);
    let http = process.listener("gif-api.http").await;
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;

    let search = "/api/v1/gifs/search?q=cat";
    process.ready(http, search).await;
    let (response, page) = json(http, search).await;
    assert_eq!((response.status, page["items"].as_array().unwrap().len(), &page["next"]), (200, 4, &Value::Null));
    assert_eq!(page["source"]["attribution"], "Drawn by Kennel");
    assert!(page["items"].as_array().unwrap().iter().all(|gif| gif["attribution"] == "Drawn by Kennel"));
    // Other spellings are the same request.
    let (response, same) = json(http, "/api/v1/gifs/search?q=%20C%EF%BC%A1T&rating=g").await;
    assert_eq!((response.header("x-cache"), same), (Some("hit"), page.clone()));
    assert!(response.header("age").is_some());

    let cat = &page["items"][0];
    let id = cat["id"].as_str().unwrap();
    process.shows(http, &format!("/api/v1/gifs/{id}"), r#""state":"stored""#).await;
    let file = path(&cat["files"]["original"]);
    process.ready(http, &file).await;
    original(http, &file).await;
    let poster = get(http, &path(&cat["files"]["poster"]), &[]).await;
    assert_eq!(
        (poster.status, poster.header("content-type"), &poster.body[8..12]),
        (200, Some("image/webp"), &b"WEBP"[..])
    );
    let small = get(http, &path(&cat["files"]["small"]), &[]).await;
    assert_eq!((small.status, small.header("content-type")), (200, Some("image/gif")));

    lists(http).await;
    requests(http).await;
    refusals(http, id).await;
    let page = get(http, "/", &[]).await;
    let text = String::from_utf8_lossy(&page.body);
    assert!(page.status == 200 && text.contains("Search for GIFs"), "{text}");
    for file in ["page/style.css", "page/app.js"] {
        assert!(text.contains(file), "{file}");
        assert_eq!(get(http, &format!("/{file}"), &[]).await.status, 200, "{file}");
    }
    stop(process).await;
}

/// The original of a GIF, by every kind of request.
async fn original(http: SocketAddr, path: &str) {
    let full = get(http, path, &[]).await;
    let header = |name| full.header(name).unwrap_or_else(|| panic!("{name} in {}", full.head));
    assert_eq!((full.status, header("content-type"), &full.body[..6]), (200, "image/gif", &b"GIF89a"[..]));
    let size = full.body.len();
    assert_eq!((header("content-length"), header("accept-ranges")), (size.to_string().as_str(), "bytes"));
    assert_eq!(header("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("sandbox"));
    let tag = header("etag");
    assert!(tag.len() == 66 && tag.starts_with('"'), "a strong tag: {tag}");

    let head = probe::request(http, "HEAD", path, &[]).await.unwrap();
    assert_eq!((head.status, head.header("etag"), head.body.len()), (200, Some(tag), 0));
    assert_eq!(head.header("content-length"), full.header("content-length"));
    let known = get(http, path, &[("if-none-match", tag)]).await;
    assert_eq!((known.status, known.header("etag"), known.body.len()), (304, Some(tag), 0));
    let part = get(http, path, &[("range", "bytes=6-9"), ("if-range", tag)]).await;
    assert_eq!((part.status, &part.body[..]), (206, &full.body[6..10]));
    assert_eq!(part.header("content-range"), Some(format!("bytes 6-9/{size}").as_str()));
    let other = get(http, path, &[("range", "bytes=6-9"), ("if-range", "\"other\"")]).await;
    assert_eq!((other.status, other.body.len()), (200, size));
    let several = get(http, path, &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!((several.status, several.body.len()), (200, size));
    let beyond = get(http, path, &[("range", &format!("bytes={size}-"))]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some(format!("bytes */{size}").as_str())));
    assert_eq!(get(http, path, &[("if-match", "\"other\"")]).await.status, 412);
}

/// Popular GIFs in pages, and random ones.
async fn lists(http: SocketAddr) {
    let (_, first) = json(http, "/api/v1/gifs/trending").await;
    let next = first["next"].as_str().unwrap();
    let (_, rest) = json(http, &format!("/api/v1/gifs/trending?cursor={next}")).await;
    let count = |page: &Value| page["items"].as_array().unwrap().len();
    assert_eq!((count(&first), count(&rest), &rest["next"]), (25, 7, &Value::Null));
    let (response, random) = json(http, "/api/v1/gifs/random?tag=dog").await;
    assert!(random["tags"].as_array().unwrap().contains(&"dog".into()));
    assert_eq!(response.header("cache-control"), Some("no-store"));
    let nothing = "/api/v1/gifs/search?q=qqzzy";
    for status in ["miss", "hit"] {
        let (response, page) = json(http, nothing).await;
        assert_eq!((response.status, response.header("x-cache"), count(&page)), (200, Some(status), 0));
    }
}

/// What was asked so far, and how it was answered.
async fn requests(http: SocketAddr) {
    let (response, page) = json(http, "/api/v1/requests?limit=2").await;
    assert_eq!((response.status, response.header("cache-control")), (200, Some("no-cache")));
    let outcomes = |page: &Value| {
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        let show =
            |request: &Value| ["kind", "query", "outcome", "provider"].map(|field| text(&request[field])).join(" ");
        page["items"].as_array().unwrap().iter().map(show).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(&page), ["search qqzzy hit -", "search qqzzy miss -"]);
    let (_, rest) = json(http, &format!("/api/v1/requests?cursor={}", page["next"].as_str().unwrap())).await;
    let rest_outcomes = outcomes(&rest);
    assert_eq!(rest_outcomes[..3], ["random dog miss local", "trending - miss local", "trending - miss local"]);
    assert!(rest_outcomes.contains(&"search cat hit local".to_owned()), "{rest_outcomes:?}");
    let trending = &rest["items"][1];
    assert_eq!(
        (&trending["cursor"], &trending["gifs"], &trending["rating"]),
        (&"local.25".into(), &7.into(), &"g".into())
    );
    // Nothing about who has asked.
    assert!(!rest.to_string().contains("127.0.0.1"), "{rest}");
    let (response, _) = json(http, "/api/v1/requests?cursor=x").await;
    assert_eq!(response.status, 422);
}

/// Requests that are not valid, and GIFs that do not exist.
async fn refusals(http: SocketAddr, id: &str) {
    let unknown = "01900000-0000-7000-8000-000000000000";
    for (path, status, field) in [
        ("search".to_owned(), 422, "q"),
        ("search?q=%20".to_owned(), 422, "q"),
        ("search?q=a&rating=x".to_owned(), 422, "rating"),
        ("search?q=a&lang=eng".to_owned(), 422, "lang"),
        ("search?q=a&cursor=A".to_owned(), 422, "cursor"),
        ("search?q=a&cursor=giphy.25".to_owned(), 422, "cursor"),
        ("x".to_owned(), 422, "id"),
        (format!("{id}/file?variant=large"), 422, "variant"),
        (unknown.to_owned(), 404, ""),
        (format!("{unknown}/file"), 404, ""),
        ("random?tag=qqzzy".to_owned(), 404, ""),
    ] {
        let (response, problem) = json(http, &format!("/api/v1/gifs/{path}")).await;
        let found = problem["errors"][0]["field"].as_str().unwrap_or_default();
        assert_eq!((response.status, found), (status, field), "{path}: {problem}");
    }
}

#[tokio::test]
async fn without_the_catalogue_earlier_answers_are_returned() {
    let folder = tempfile::tempdir().unwrap();
    let variables = Variables::new().and("SEARCH_FRESH", "100ms");
    let api = &["serve", "--only", "gif-api.http"];
    let rest = "gif-storage.http,gif-storage.grpc,gif-storage.outbox-relay,gif-storage.media,\
        gif-files.grpc,gif-files.outbox-relay,gif-files.downloader";
    let mut api = variables.start(&folder, api);
    let mut others = variables.start(&folder, &["serve", "--only", rest]);
    let http = api.listener("gif-api.http").await;
    others.listener("gif-storage.grpc").await;
    api.ready(http, "/api/v1/gifs/search?q=cat").await;
    let (_, answer) = json(http, "/api/v1/gifs/search?q=cat").await;
    stop(others).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let (response, stale) = json(http, "/api/v1/gifs/search?q=cat").await;
    assert_eq!((response.status, response.header("x-cache")), (200, Some("stale")));
    assert_eq!(stale["items"], answer["items"]);
    let (response, _) = json(http, "/api/v1/gifs/search?q=dog").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")));
    stop(api).await;
}

#[test]
fn help_shows_commands_for_a_store_and_dead_letters_only_where_there_are_any() {
    let shown = |service: &str| {
        let mut program = std::process::Command::new(env!("CARGO_BIN_EXE_gif-pipeline"));
        let help = program.args([service, "--help"]).env_clear().output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let commands = help.lines().filter_map(|line| line.split_whitespace().next());
        ["serve", "migrate", "dlq"].map(|name| commands.clone().any(|command| command == name))
    };
    assert_eq!(shown("gif-files"), [true, true, true]);
    assert_eq!(shown("gif-api"), [true, false, false]);
}

#[test]
fn make_run_gifs_has_a_valid_configuration() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
    let program = env!("CARGO_BIN_EXE_gif-pipeline");
    kennel_testkit::make::has_valid_configuration(root.as_ref(), "run-gifs", program.as_ref());
}

#[tokio::test]
async fn each_operation_is_open_to_its_scope_only() {
    let folder = tempfile::tempdir().unwrap();
    let services = [
        gif_api::GifApi::access().scopes(),
        gif_storage::GifStorage::access().scopes(),
        gif_files::GifFiles::access().scopes(),
    ];
    let callers = Callers::of(&services);
    let variables = Variables::new().and("AUTH", "api-key").and("AUTH_API_KEYS", &callers.api_keys());
    let mut process = variables.start(&folder, &["serve"]);
    let [api, storage, files] = &services;
    let http = Some(process.listener("gif-api.http").await);
    callers.call(Addresses { http, grpc: None }, api).await;
    let (http, grpc) = (process.listener("gif-storage.http").await, process.listener("gif-storage.grpc").await);
    callers.call(Addresses { http: Some(http), grpc: Some(grpc) }, storage).await;
    let grpc = Some(process.listener("gif-files.grpc").await);
    callers.call(Addresses { http: None, grpc }, files).await;
    stop(process).await;
}
