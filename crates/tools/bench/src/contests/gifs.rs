//! Contests of the GIF pipeline: its services in one process, and a provider in this one.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing;
use kennel_loadgen::{Response, get, send};
use kennel_testkit::gifs::GifFile;
use serde_json::{Value, json};

use super::MANY;
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Rounds, Score, Work};
use crate::service::Running;

/// How long it may take until a file is stored.
const STORE_LIMIT: Duration = Duration::from_secs(30);
const SEARCH: &str = "/api/v1/gifs/search?q=cat";

/// `None` if the pipeline is not built.
pub(super) fn search(dogs: &Path, rounds: Rounds) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(gifs) = pipeline(dogs, &[])? else { return Ok(None) };
    let found = found(&gifs)?;
    let requests = vec![get(SEARCH)];
    let bare = Running::baseline(&Baseline::Axum { body: String::from_utf8(found.body)? })?;
    let contestants = [
        Contestant { name: "gif-api", work: Work::Http { process: gifs, requests: requests.clone() } },
        Contestant { name: "axum, the same bytes", work: Work::Http { process: bare, requests } },
    ];
    contest::run(&contestants, MANY, rounds).map(Some)
}

/// `None` without nginx, or if the pipeline is not built.
pub(super) fn file(dogs: &Path, rounds: Rounds) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(nginx) = std::env::var_os("TEST_NGINX") else { return Ok(None) };
    // Three frames of 68 KB.
    let file = GifFile::animation(440, 276, 3, 10).end();
    let base = provider(file.clone())?;
    let variables = [
        ("GIF_PROVIDERS", "giphy"),
        ("GIF_PROVIDER_ALLOW_PRIVATE", "true"),
        ("GIPHY_API_BASE_URL", base.as_str()),
        ("GIPHY_API_KEY", "benchmark"),
        ("GIPHY_STORE_MEDIA", "true"),
    ];
    let Some(gifs) = pipeline(dogs, &variables)? else { return Ok(None) };
    let page: Value = serde_json::from_slice(&found(&gifs)?.body).context("a page is JSON")?;
    let id = page["items"][0]["id"].as_str().context("the GIF is found")?;
    let request = get(&format!("/api/v1/gifs/{id}/file"));
    let started = Instant::now();
    while send(gifs.http, &request)?.body != file {
        ensure!(started.elapsed() < STORE_LIMIT, "the file is not stored after {STORE_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let nginx = Running::nginx(Path::new(&nginx), &file)?;
    let contestants = [
        Contestant { name: "gif-api", work: Work::Http { process: gifs, requests: vec![request] } },
        Contestant { name: "nginx", work: Work::Http { process: nginx, requests: vec![get("/file.gif")] } },
    ];
    contest::run(&contestants, MANY, rounds).map(Some)
}

/// The answer to the search.
fn found(gifs: &Running) -> anyhow::Result<Response> {
    let found = send(gifs.http, &get(SEARCH))?;
    ensure!(found.status == 200, "search: {}", String::from_utf8_lossy(&found.body));
    Ok(found)
}

/// Starts the pipeline, which is built next to dogs.
fn pipeline(dogs: &Path, variables: &[(&str, &str)]) -> anyhow::Result<Option<Running>> {
    let program = dogs.with_file_name("gif-pipeline");
    if !program.exists() {
        return Ok(None);
    }
    // All are reserved before the first one is released.
    let listeners = [listen()?, listen()?, listen()?];
    let mut ports = Vec::new();
    for listener in &listeners {
        ports.push(listener.local_addr()?.port().to_string());
    }
    drop(listeners);
    let url = |port: &str| format!("http://127.0.0.1:{port}");
    let (catalogue, media) = (url(&ports[1]), url(&ports[2]));
    let env = [
        ("GIF_API_SERVER_PORT", "0"),
        ("GIF_STORAGE_SERVER_PORT", &ports[0]),
        ("GIF_STORAGE_GRPC_PORT", &ports[1]),
        ("GIF_FILES_GRPC_PORT", &ports[2]),
        ("CATALOGUE_GRPC_URL", &catalogue),
        ("MEDIA_GRPC_URL", &media),
        ("GIF_DOWNLOAD_ALLOW_PRIVATE", "true"),
    ];
    let running = Running::pipeline(&program, &[&env[..], variables].concat())?;
    let started = Instant::now();
    // The services connect to each other.
    while send(running.http, &get(SEARCH))?.status != 200 {
        if started.elapsed() > STORE_LIMIT {
            bail!("no search is answered after {STORE_LIMIT:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(Some(running))
}

fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// Serves the API of a provider that has one GIF, and its file. Returns the base URL.
fn provider(file: Vec<u8>) -> anyhow::Result<String> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let base = format!("http://{}", listener.local_addr()?);
    let url = format!("{base}/cat.gif");
    let original = json!({ "url": url, "width": "440", "height": "276", "size": file.len().to_string() });
    let page = json!({
        "data": [{ "type": "gif", "id": "cat", "title": "Cat", "rating": "g", "images": { "original": original } }],
        "pagination": { "total_count": 1, "count": 1, "offset": 0 },
        "meta": { "status": 200, "msg": "OK", "response_id": "1" },
    });
    let router = Router::new()
        .route("/gifs/search", routing::get(async move || axum::Json(page)))
        .route("/cat.gif", routing::get(async move || ([(CONTENT_TYPE, "image/gif")], file)));
    let runtime = tokio::runtime::Runtime::new()?;
    std::thread::spawn(move || {
        runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
    });
    Ok(base)
}
