//! The server of a provider's files, on a loopback address.
#![allow(dead_code, clippy::allow_attributes, reason = "each test program needs a part of it")]

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kennel_testkit::gifs::GifFile;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Answers = Arc<Mutex<HashMap<String, Answer>>>;

/// What the server answers.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// This file.
    File(Vec<u8>),
    /// This status, without a file.
    Status(u16),
    /// A redirect.
    Redirect(String),
}

/// The server. It stops when the value is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    answers: Answers,
    _serving: JoinSet<()>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, answers) = (listener.local_addr().unwrap(), Answers::default());
        let router = Router::new().route("/{name}", axum::routing::get(answer)).with_state(Arc::clone(&answers));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, answers, _serving: serving }
    }

    /// Sets what the server answers to requests for a name, and returns its URL.
    pub(crate) fn set(&self, name: &str, answer: Answer) -> String {
        self.answers.lock().unwrap().insert(name.to_owned(), answer);
        format!("http://{}/{name}", self.address)
    }

    /// Serves an animation that differs from those with another number; returns its URL.
    pub(crate) fn animation(&self, number: u16) -> String {
        let file = GifFile::animation(16 + number % 7, 12, 3, 5).extension(0xFE, &[&number.to_be_bytes()]);
        self.set(&format!("{number}.gif"), Answer::File(file.end()))
    }
}

async fn answer(Path(name): Path<String>, State(answers): State<Answers>) -> Response {
    let answer = answers.lock().unwrap().get(&name).cloned();
    match answer {
        None => StatusCode::NOT_FOUND.into_response(),
        Some(Answer::File(bytes)) => ([(header::CONTENT_TYPE, "image/gif")], bytes).into_response(),
        Some(Answer::Status(status)) => StatusCode::from_u16(status).unwrap().into_response(),
        Some(Answer::Redirect(to)) => (StatusCode::FOUND, [(header::LOCATION, to)]).into_response(),
    }
}
