//! GIPHY on a loopback address. Every text finds animations that no other text finds.

use std::collections::HashMap;
use std::net::SocketAddr;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use kennel_testkit::gifs::GifFile;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::backends::Variables;

/// The server. It stops when the value is dropped.
pub(crate) struct Provider {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

#[derive(Clone, Copy)]
struct Source {
    address: SocketAddr,
    items: usize,
}

impl Provider {
    /// A provider that finds this many animations for each text.
    pub(crate) async fn start(items: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/gifs/search", get(search))
            .route("/media/{name}", get(media))
            .with_state(Source { address, items });
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, _serving: serving }
    }

    /// The variables of services that find and store its GIFs.
    pub(crate) fn variables(&self) -> Variables {
        let pairs = [
            ("GIF_PROVIDERS", "giphy"),
            ("GIF_PROVIDER_ALLOW_PRIVATE", "true"),
            ("GIF_PROVIDER_TIMEOUT", "10s"),
            ("GIF_DOWNLOAD_ALLOW_PRIVATE", "true"),
            ("GIPHY_API_KEY", "a-key-of-the-tests"),
            ("GIPHY_HOURLY_QUOTA", "0"),
            ("GIPHY_STORE_MEDIA", "true"),
        ];
        let mut variables: Variables = pairs.map(|(name, value)| (name, value.to_owned())).into();
        variables.push(("GIPHY_API_BASE_URL", format!("http://{}/v1", self.address)));
        variables
    }
}

async fn search(State(source): State<Source>, query: Query<HashMap<String, String>>) -> Json<Value> {
    let item = |number: usize| {
        let id = format!("{}-{number}", query["q"]);
        let original =
            json!({"url": format!("http://{}/media/{id}.gif", source.address), "width": "16", "height": "12"});
        json!({"type": "gif", "id": id, "title": query["q"], "rating": "g", "images": {"original": original}})
    };
    let data: Vec<_> = (0..source.items).map(item).collect();
    let pagination = json!({"total_count": data.len(), "count": data.len(), "offset": 0});
    let meta = json!({"status": 200, "msg": "OK", "response_id": "1"});
    Json(json!({"data": data, "pagination": pagination, "meta": meta}))
}

async fn media(Path(name): Path<String>) -> Vec<u8> {
    GifFile::animation(16, 12, 3, 5).extension(0xFE, &[name.as_bytes()]).end()
}
