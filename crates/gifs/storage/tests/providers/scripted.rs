//! A server with the APIs of the providers, which misbehaves on demand.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

/// The key that the providers are called with. Nothing may show it.
pub(crate) const KEY: &str = "k3y-Never-Shown-7391";

/// Number of items that match every text.
pub(crate) const ITEMS: usize = 30;

/// How the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// With items.
    Items,
    /// With items, of which every third is an advertisement.
    Advertisements,
    /// With items whose values vary in type, and of which some cannot be used.
    Untidy,
    /// With items that contain the key in their texts and URLs.
    Echoing,
    /// With no item.
    Empty,
    /// With this status, `Retry-After` and body; `$KEY` in the body is the key.
    Answer(u16, Option<&'static str>, String),
    /// With a redirect to this address.
    Redirect(String),
    /// Not before this time.
    Slow(Duration),
    /// With half of the body.
    Cut,
}

#[derive(Clone)]
struct Script {
    mode: Arc<Mutex<Mode>>,
    requests: Arc<Mutex<Vec<Url>>>,
}

/// The running server. It ends with the value.
pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    script: Script,
    task: JoinHandle<()>,
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Scripted {
    #[expect(clippy::disallowed_methods, reason = "the server runs next to the test")]
    pub(crate) async fn start() -> Self {
        let script = Script { mode: Arc::new(Mutex::new(Mode::Items)), requests: Arc::default() };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(script.clone());
        let task = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, script, task }
    }

    pub(crate) fn base(&self, provider: &str) -> String {
        format!("http://{}/{provider}", self.address)
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.script.mode.lock().unwrap() = mode;
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Url> {
        self.script.requests.lock().unwrap().clone()
    }

    /// Stops the server: connections are refused from now on.
    pub(crate) async fn stop(&mut self) {
        self.task.abort();
        (&mut self.task).await.unwrap_err();
    }
}

async fn answer(State(script): State<Script>, request: Request) -> Response {
    let url: Url = format!("http://provider{}", request.uri()).parse().unwrap();
    script.requests.lock().unwrap().push(url.clone());
    let mode = script.mode.lock().unwrap().clone();
    let items = match mode {
        Mode::Answer(status, retry_after, body) => {
            let mut response = (StatusCode::from_u16(status).unwrap(), body.replace("$KEY", KEY)).into_response();
            if let Some(retry_after) = retry_after {
                response.headers_mut().insert("retry-after", retry_after.parse().unwrap());
            }
            return response;
        }
        Mode::Redirect(to) => return (StatusCode::FOUND, [("location", to)]).into_response(),
        Mode::Slow(time) => {
            tokio::time::sleep(time).await;
            items(&url, &mode)
        }
        Mode::Empty => Vec::new(),
        Mode::Items | Mode::Advertisements | Mode::Untidy | Mode::Echoing | Mode::Cut => items(&url, &mode),
    };
    let body = document(&url, &items).to_string();
    if matches!(mode, Mode::Cut) {
        let half = body[..body.len() / 2].to_owned();
        return (
            [("content-length", body.len().to_string())],
            Body::from_stream(futures_util::stream::iter([Ok(half), Err(std::io::Error::other("cut"))])),
        )
            .into_response();
    }
    body.into_response()
}

fn is_giphy(url: &Url) -> bool {
    url.path().starts_with("/giphy")
}

fn items(url: &Url, mode: &Mode) -> Vec<Value> {
    let item = if is_giphy(url) { giphy } else { klipy };
    let mut items: Vec<_> = (0..ITEMS).map(item).collect();
    match mode {
        Mode::Advertisements => items.iter_mut().step_by(3).for_each(|item| item["type"] = json!("ad")),
        Mode::Untidy => untidy(&mut items),
        Mode::Echoing => items.iter_mut().for_each(|item| {
            let echoing = item.to_string().replace("Cat ", &format!("Cat {KEY} "));
            *item = serde_json::from_str(&echoing.replace(".example/", &format!(".example/{KEY}/?api_key={KEY}&")))
                .unwrap();
        }),
        _ => {}
    }
    items
}

/// Each item has another oddity; the last of them cannot be used.
fn untidy(items: &mut Vec<Value>) {
    items.truncate(8);
    let files = if items[0].get("images").is_some() { "images" } else { "file" };
    items[0]["id"] = json!(1_234_567_890_123_u64);
    items[1]["tags"] = json!([{ "text": "Cat" }, "fun", null, 7]);
    items[2]["title"] = Value::Null;
    items[2]["username"] = json!("");
    items[3]["tags"] = json!("cat,fun");
    items[3]["unknown"] = json!({ "deep": [1, 2, 3] });
    items[4]["title"] = json!("a\u{0}b\u{1b}[31m".repeat(200));
    items[5][files] = json!({});
    items[6]["id"] = json!("");
    items[7] = json!("not an object");
    let original = if files == "images" {
        json!({ "url": "https://media.example/3", "width": "wide", "height": -3, "size": "" })
    } else {
        json!({ "gif": { "url": "https://media.example/3", "width": "480", "height": null, "size": 1.5 }, "mp4": [] })
    };
    let name = if files == "images" { "original" } else { "hd" };
    items[3][files] = json!({ name: original, "fixed_width": { "url": "" }, "md": { "gif": { "url": "not a url" } } });
}

fn giphy(number: usize) -> Value {
    let url = |file: &str| format!("https://media1.example/media/{number}/{file}?cid=790b76&ep=v1_gifs_search&ct=g");
    json!({
        "type": "gif", "id": format!("giphy{number}"), "slug": format!("cat-{number}"),
        "url": format!("https://giphy.example/gifs/{number}"), "title": format!("Cat {number} GIF"),
        "username": "artist", "rating": "g", "is_sticker": 0, "import_datetime": "2020-01-01 00:00:00",
        "analytics_response_payload": "e=abc",
        "images": {
            "original": { "height": "270", "width": "480", "size": "1048576", "url": url("giphy.gif"),
                "mp4_size": "4096", "mp4": url("giphy.mp4"), "webp_size": "2048", "webp": url("giphy.webp"),
                "frames": "24", "hash": "x" },
            "fixed_width": { "height": "113", "width": "200", "size": "65536", "url": url("200w.gif") },
            "fixed_width_still": { "height": "113", "width": "200", "size": "5000", "url": url("200w_s.gif") },
            "preview": { "mp4": url("preview.mp4") },
        },
    })
}

fn klipy(number: usize) -> Value {
    let file = |tier: &str, side: usize| {
        let one = |format: &str| {
            let url = format!("https://static.example/{number}/{tier}.{format}");
            json!({ "url": url, "width": side, "height": side, "size": side * 100 })
        };
        json!({ "gif": one("gif"), "webp": one("webp"), "mp4": one("mp4") })
    };
    json!({
        "id": 7_000_000_000_000_000_u64 + number as u64, "slug": format!("cat-{number}"), "title": format!("Cat {number}"),
        "type": "gif", "tags": ["cat"], "blur_preview": "data:image/jpeg;base64,AAAA",
        // Tiers are no ladder: `md` is larger than `hd`.
        "file": { "hd": file("hd", 300), "md": file("md", 480), "sm": file("sm", 200), "xs": file("xs", 90) },
    })
}

/// The response with the page of `items` that the request asks for.
fn document(url: &Url, items: &[Value]) -> Value {
    let query = |name: &str| url.query_pairs().find(|(key, _)| key == name).and_then(|(_, value)| value.parse().ok());
    let total = items.len();
    let page = |from: usize, size: usize| items.iter().skip(from).take(size).cloned().collect::<Vec<_>>();
    if is_giphy(url) {
        let meta = json!({ "status": 200, "msg": "OK", "response_id": "r1" });
        if url.path().ends_with("/random") {
            return json!({ "data": items.first().cloned().unwrap_or(json!([])), "meta": meta });
        }
        let (offset, limit) = (query("offset").unwrap_or(0), query("limit").unwrap_or(25));
        let data = page(offset, limit);
        // Numbers are text here and there.
        let pagination = json!({ "total_count": total.to_string(), "count": data.len(), "offset": offset });
        return json!({ "data": data, "pagination": pagination, "meta": meta });
    }
    let (number, size) = (query("page").unwrap_or(1), query("per_page").unwrap_or(24));
    assert!((8..=50).contains(&size), "a real server refuses this size");
    let from = (number - 1) * size;
    let has_next = from + size < total;
    let data = json!({ "data": page(from, size), "current_page": number, "per_page": size, "has_next": has_next });
    json!({ "result": true, "data": data })
}
