//! Responses of the server, correct or not.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Behaviour, Route, breeds, images};

const SCRIPT: &str = "<script>alert('woof')</script>";

/// A response that may violate HTTP.
pub(super) enum FakeResponse {
    Complete {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Sends `announced` as `Content-Length` and closes the connection after the body.
    Short {
        announced: usize,
        body: Vec<u8>,
    },
    /// Starts with these bytes and continues as long as the client reads.
    Endless {
        start: Vec<u8>,
    },
    Nothing,
}

impl FakeResponse {
    pub(super) fn status(status: u16) -> Self {
        Self::complete(status, "text/plain", format!("status {status}").into_bytes())
    }

    fn complete(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self::Complete { status, headers: vec![("content-type", content_type.to_owned())], body }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::complete(status, "application/json", body.to_string().into_bytes())
    }

    fn redirect(to: String) -> Self {
        Self::Complete { status: 302, headers: vec![("location", to)], body: Vec::new() }
    }

    pub(super) async fn write(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Complete { status, headers, body } => {
                stream.write_all(head(status, &headers, Some(body.len())).as_bytes()).await?;
                stream.write_all(&body).await
            }
            Self::Short { announced, body } => {
                let headers = [("content-type", "image/jpeg".to_owned())];
                stream.write_all(head(200, &headers, Some(announced)).as_bytes()).await?;
                stream.write_all(&body).await
            }
            Self::Endless { start } => {
                let headers = [("content-type", "image/jpeg".to_owned())];
                stream.write_all(head(200, &headers, None).as_bytes()).await?;
                write_chunk(stream, &start).await?;
                loop {
                    write_chunk(stream, &[0; 16 * 1024]).await?;
                }
            }
            Self::Nothing => Ok(()),
        }
    }
}

async fn write_chunk(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.write_all(format!("{:x}\r\n", bytes.len()).as_bytes()).await?;
    stream.write_all(bytes).await?;
    stream.write_all(b"\r\n").await
}

/// The head of a response; without a length the body is chunked.
fn head(status: u16, headers: &[(&str, String)], length: Option<usize>) -> String {
    let mut lines = vec![format!("HTTP/1.1 {status} Status"), "connection: close".to_owned()];
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    lines.push(match length {
        Some(length) => format!("content-length: {length}"),
        None => "transfer-encoding: chunked".to_owned(),
    });
    lines.join("\r\n") + "\r\n\r\n"
}

fn segments(path: &str) -> Vec<&str> {
    path.trim_start_matches('/').split('/').collect()
}

pub(super) fn route(path: &str) -> Route {
    match segments(path)[..] {
        ["api", "breeds", "list", "all"] => Route::Breeds,
        ["api", "breed", _, "images", "random"] | ["api", "breed", _, _, "images", "random"] => Route::Random,
        ["images", ..] => Route::Image,
        _ => Route::Other,
    }
}

/// The response to a request with this `behaviour`. `number` counts the URLs of images that were returned.
pub(super) fn response(
    behaviour: &Behaviour,
    route: Route,
    path: &str,
    address: SocketAddr,
    number: impl Fn() -> u64,
) -> FakeResponse {
    match behaviour {
        Behaviour::CloseConnection => return FakeResponse::Nothing,
        Behaviour::Status(status, wait) => return error(*status, *wait),
        _ => {}
    }
    match route {
        Route::Other => {
            FakeResponse::json(404, &json!({ "status": "error", "message": "No route found", "code": 404 }))
        }
        Route::Image => image(behaviour, path, address),
        Route::Breeds | Route::Random => match behaviour {
            Behaviour::NotJson => FakeResponse::complete(200, "text/html", b"<html>be right back</html>".to_vec()),
            Behaviour::UnexpectedJson => FakeResponse::json(200, &json!({ "message": 42, "status": "success" })),
            _ if route == Route::Breeds => breed_list(),
            _ => random(behaviour, path, address, number),
        },
    }
}

fn error(status: u16, wait: Option<u64>) -> FakeResponse {
    let headers = wait.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
    let body = json!({ "status": "error", "message": "refused", "code": status });
    FakeResponse::Complete { status, headers, body: body.to_string().into_bytes() }
}

fn breed_list() -> FakeResponse {
    let breeds: serde_json::Map<_, _> =
        breeds::BREEDS.iter().map(|(breed, subs)| ((*breed).to_owned(), json!(subs))).collect();
    FakeResponse::json(200, &json!({ "message": breeds, "status": "success" }))
}

fn random(behaviour: &Behaviour, path: &str, address: SocketAddr, number: impl Fn() -> u64) -> FakeResponse {
    let (breed, sub) = match segments(path)[..] {
        [_, _, breed, sub, _, _] => (breed, Some(sub)),
        [_, _, breed, ..] => (breed, None),
        _ => return FakeResponse::status(404),
    };
    let Some(subs) = breeds::sub_breeds(breed) else { return unknown("main breed") };
    if sub.is_some_and(|sub| !subs.contains(&sub)) {
        return unknown("sub breed");
    }
    if let Behaviour::ImageUrl(url) = behaviour {
        return FakeResponse::json(200, &json!({ "message": url, "status": "success" }));
    }
    let number = number();
    let name = sub.map_or_else(|| breed.to_owned(), |sub| format!("{breed}-{sub}"));
    let extension = if number.is_multiple_of(2) { "jpg" } else { "png" };
    let url = format!("http://{address}/images/{name}/n{number}.{extension}");
    FakeResponse::json(200, &json!({ "message": url, "status": "success" }))
}

fn unknown(what: &str) -> FakeResponse {
    let message = format!("Breed not found ({what} does not exist)");
    FakeResponse::json(404, &json!({ "status": "error", "message": message, "code": 404 }))
}

fn image(behaviour: &Behaviour, path: &str, address: SocketAddr) -> FakeResponse {
    let (content_type, mut file) = if path.rsplit('.').next() == Some("png") {
        ("image/png", images::png(path))
    } else {
        ("image/jpeg", images::jpeg(path))
    };
    match behaviour {
        Behaviour::EndlessImage => FakeResponse::Endless { start: file },
        Behaviour::WrongContentLength => FakeResponse::Short { announced: file.len() + 1_000, body: file },
        Behaviour::TruncatedImage => {
            file.truncate(file.len() / 2);
            FakeResponse::complete(200, content_type, file)
        }
        Behaviour::NotAnImage => FakeResponse::complete(200, "image/jpeg", SCRIPT.into()),
        Behaviour::RedirectTo(url) => FakeResponse::redirect(url.clone()),
        Behaviour::RedirectLoop => FakeResponse::redirect(format!("http://{address}{path}")),
        _ => FakeResponse::complete(200, content_type, file),
    }
}
