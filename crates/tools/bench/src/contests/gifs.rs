//! Contests of the GIF pipeline: its services in one process, and a provider in this one.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::extract::{Path as UrlPath, Query};
use axum::http::header::CONTENT_TYPE;
use axum::routing;
use kennel_loadgen::{Response, get, send};
use kennel_testkit::gifs::GifFile;
use serde_json::{Value, json};

use super::{MANY, Setup};
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Score};
use crate::service::Running;

/// How long it may take until a file is stored.
const STORE_LIMIT: Duration = Duration::from_secs(30);
/// Milliseconds of a round for each of its searches, which all come first; each finds [`GIFS`]. A round of 2 s stores 2,000.
const MILLIS_PER_SEARCH: u128 = 25;
/// GIFs of a page of the provider, as many as the service asks for.
const GIFS: usize = 25;
const SEARCH: &str = "/api/v1/gifs/search?q=cat";

/// `None` if the pipeline is not built.
pub(super) fn search(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(gifs) = pipeline(&setup.service, &[])? else { return Ok(None) };
    let found = found(&gifs)?;
    let requests = vec![get(SEARCH)];
    let bare = Running::baseline(&Baseline::Axum { body: String::from_utf8(found.body)? })?;
    let contestants = vec![
        Contestant::http("gif-api", gifs, requests.clone(), MANY),
        Contestant::http("axum, the same bytes", bare, requests, MANY),
    ];
    contest::run(contestants, setup.rounds).map(Some)
}

/// `None` without nginx, or if the pipeline is not built.
pub(super) fn file(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let Some(nginx) = std::env::var_os("TEST_NGINX") else { return Ok(None) };
    // Three frames of 68 KB.
    let file = GifFile::animation(440, 276, 3, 10).end();
    let content = file.clone();
    let base = serve(|base| one_gif(base, content))?;
    let Some(gifs) = pipeline(&setup.service, &variables(&base))? else { return Ok(None) };
    let page: Value = serde_json::from_slice(&found(&gifs)?.body).context("a page is JSON")?;
    let id = page["items"][0]["id"].as_str().context("the GIF is found")?;
    let request = get(&format!("/api/v1/gifs/{id}/file"));
    let started = Instant::now();
    while send(gifs.http, &request)?.body != file {
        ensure!(started.elapsed() < STORE_LIMIT, "the file is not stored after {STORE_LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let nginx = Running::nginx(Path::new(&nginx), &file)?;
    let contestants = vec![
        Contestant::http("gif-api", gifs, vec![request], MANY),
        Contestant::http("nginx", nginx, vec![get("/file.gif")], MANY),
    ];
    contest::run(contestants, setup.rounds).map(Some)
}

/// `None` if the pipeline is not built.
pub(super) fn stored(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    let base = serve(small_gifs)?;
    let Some(gifs) = pipeline(&setup.service, &variables(&base))? else { return Ok(None) };
    let (http, searches) = (gifs.http, AtomicU32::new(0));
    let command = move |round: Duration| {
        let count = u32::try_from(round.as_millis() / MILLIS_PER_SEARCH).unwrap_or(u32::MAX).max(1);
        let first = searches.fetch_add(count, Ordering::Relaxed);
        store(http, first..first + count)
    };
    contest::run(vec![Contestant::command("gif-pipeline", Some(gifs), command)], setup.rounds).map(Some)
}

/// Searches for GIFs that are not known yet, and waits until all of them are stored. Returns how many were stored per second.
fn store(http: SocketAddr, searches: Range<u32>) -> anyhow::Result<f64> {
    let (started, mut ids) = (Instant::now(), Vec::new());
    for number in searches {
        let page = send(http, &get(&format!("/api/v1/gifs/search?q=set%20{number}")))?;
        let page: Value = serde_json::from_slice(&page.body).context("a page is JSON")?;
        let items = page["items"].as_array().context("a page has items")?;
        ids.extend(items.iter().filter_map(|gif| gif["id"].as_str().map(str::to_owned)));
    }
    for id in &ids {
        let request = get(&format!("/api/v1/gifs/{id}"));
        loop {
            let gif: Value = serde_json::from_slice(&send(http, &request)?.body).context("a GIF is JSON")?;
            match gif["state"].as_str() {
                Some("stored") => break,
                Some("refused") => bail!("refused: {gif}"),
                _ => ensure!(started.elapsed() < STORE_LIMIT, "not stored after {STORE_LIMIT:?}: {gif}"),
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let count = ids.len() as f64;
    ensure!(count > 0.0, "nothing was found");
    Ok(count / started.elapsed().as_secs_f64())
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

/// The settings for a provider at `base`.
fn variables(base: &str) -> [(&'static str, &str); 6] {
    [
        ("GIF_PROVIDERS", "giphy"),
        ("GIF_PROVIDER_ALLOW_PRIVATE", "true"),
        ("GIPHY_API_BASE_URL", base),
        ("GIPHY_API_KEY", "benchmark"),
        ("GIPHY_HOURLY_QUOTA", "1000000"),
        ("GIPHY_STORE_MEDIA", "true"),
    ]
}

/// The API of a provider that has one GIF, and its file.
fn one_gif(base: &str, file: Vec<u8>) -> Router {
    let gif = listed("cat", &format!("{base}/cat.gif"), (440, 276));
    let page = answer(&[gif]);
    Router::new()
        .route("/gifs/search", routing::get(async move || axum::Json(page)))
        .route("/cat.gif", routing::get(async move || ([(CONTENT_TYPE, "image/gif")], file)))
}

/// The API of a provider that has [`GIFS`] different GIFs for every text, and their files.
fn small_gifs(base: &str) -> Router {
    const SIZE: (u16, u16) = (100, 80);
    let base = base.to_owned();
    let search = async move |Query(query): Query<HashMap<String, String>>| {
        let set = query.get("q").map(|text| text.replace(' ', "-")).unwrap_or_default();
        let gifs = (0..GIFS).map(|number| format!("{set}-{number}"));
        let gifs: Vec<_> = gifs.map(|id| listed(&id, &format!("{base}/{id}.gif"), SIZE)).collect();
        axum::Json(answer(&gifs))
    };
    // A comment makes the bytes of each GIF its own.
    let file = async |UrlPath(name): UrlPath<String>| {
        let file = GifFile::animation(SIZE.0, SIZE.1, 8, 10).extension(0xFE, &[name.as_bytes()]).end();
        ([(CONTENT_TYPE, "image/gif")], file)
    };
    Router::new().route("/gifs/search", routing::get(search)).route("/{name}", routing::get(file))
}

/// A GIF as the provider lists it.
fn listed(id: &str, url: &str, (width, height): (u16, u16)) -> Value {
    let original = json!({ "url": url, "width": width.to_string(), "height": height.to_string() });
    json!({ "type": "gif", "id": id, "title": "Cat", "rating": "g", "images": { "original": original } })
}

/// A page with these GIFs.
fn answer(gifs: &[Value]) -> Value {
    json!({
        "data": gifs,
        "pagination": { "total_count": gifs.len(), "count": gifs.len(), "offset": 0 },
        "meta": { "status": 200, "msg": "OK", "response_id": "1" },
    })
}

/// Serves what `router` creates for its base URL, until this process ends. Returns the base URL.
fn serve(router: impl FnOnce(&str) -> Router) -> anyhow::Result<String> {
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    let base = format!("http://{}", listener.local_addr()?);
    let (router, runtime) = (router(&base), tokio::runtime::Runtime::new()?);
    std::thread::spawn(move || {
        runtime.block_on(async { axum::serve(tokio::net::TcpListener::from_std(listener)?, router).await })
    });
    Ok(base)
}
