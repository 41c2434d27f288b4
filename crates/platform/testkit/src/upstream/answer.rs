//! What the server answers, well or badly.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::{Behaviour, Route, breeds, pictures};

const SCRIPT: &str = "<script>alert('woof')</script>";

/// An answer that may break the rules of HTTP.
pub(super) enum Answer {
    Whole {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Announces `announced` bytes and closes after the body.
    Short {
        announced: usize,
        body: Vec<u8>,
    },
    /// Begins with this and goes on for as long as the client reads.
    Endless {
        start: Vec<u8>,
    },
    Nothing,
}

impl Answer {
    pub(super) fn status(status: u16) -> Self {
        Self::whole(status, "text/plain", format!("status {status}").into_bytes())
    }

    fn whole(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        Self::Whole { status, headers: vec![("content-type", content_type.to_owned())], body }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self::whole(status, "application/json", body.to_string().into_bytes())
    }

    fn redirect(to: String) -> Self {
        Self::Whole { status: 302, headers: vec![("location", to)], body: Vec::new() }
    }

    pub(super) async fn write(self, stream: &mut TcpStream) -> std::io::Result<()> {
        match self {
            Self::Whole { status, headers, body } => {
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

/// The head of an answer; without a length the body comes in chunks.
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
        ["images", ..] => Route::Picture,
        _ => Route::Other,
    }
}

/// What `behaviour` makes of a request. `number` counts the pictures that were named.
pub(super) fn answer(
    behaviour: &Behaviour,
    route: Route,
    path: &str,
    address: SocketAddr,
    number: impl Fn() -> u64,
) -> Answer {
    match behaviour {
        Behaviour::CloseConnection => return Answer::Nothing,
        Behaviour::Status(status, wait) => return refusal(*status, *wait),
        _ => {}
    }
    match route {
        Route::Other => Answer::json(404, &json!({ "status": "error", "message": "No route found", "code": 404 })),
        Route::Picture => picture(behaviour, path, address),
        Route::Breeds | Route::Random => match behaviour {
            Behaviour::NotJson => Answer::whole(200, "text/html", b"<html>be right back</html>".to_vec()),
            Behaviour::WrongShape => Answer::json(200, &json!({ "message": 42, "status": "success" })),
            _ if route == Route::Breeds => breed_list(),
            _ => random(behaviour, path, address, number),
        },
    }
}

fn refusal(status: u16, wait: Option<u64>) -> Answer {
    let headers = wait.map(|seconds| ("retry-after", seconds.to_string())).into_iter().collect();
    let body = json!({ "status": "error", "message": "refused", "code": status });
    Answer::Whole { status, headers, body: body.to_string().into_bytes() }
}

fn breed_list() -> Answer {
    let breeds: serde_json::Map<_, _> =
        breeds::BREEDS.iter().map(|(breed, subs)| ((*breed).to_owned(), json!(subs))).collect();
    Answer::json(200, &json!({ "message": breeds, "status": "success" }))
}

fn random(behaviour: &Behaviour, path: &str, address: SocketAddr, number: impl Fn() -> u64) -> Answer {
    let (breed, sub) = match segments(path)[..] {
        [_, _, breed, sub, _, _] => (breed, Some(sub)),
        [_, _, breed, ..] => (breed, None),
        _ => return Answer::status(404),
    };
    let Some(subs) = breeds::sub_breeds(breed) else { return unknown("main breed") };
    if sub.is_some_and(|sub| !subs.contains(&sub)) {
        return unknown("sub breed");
    }
    if let Behaviour::PictureUrl(url) = behaviour {
        return Answer::json(200, &json!({ "message": url, "status": "success" }));
    }
    let number = number();
    let name = sub.map_or_else(|| breed.to_owned(), |sub| format!("{breed}-{sub}"));
    let ending = if number.is_multiple_of(2) { "jpg" } else { "png" };
    let url = format!("http://{address}/images/{name}/n{number}.{ending}");
    Answer::json(200, &json!({ "message": url, "status": "success" }))
}

fn unknown(what: &str) -> Answer {
    let message = format!("Breed not found ({what} does not exist)");
    Answer::json(404, &json!({ "status": "error", "message": message, "code": 404 }))
}

fn picture(behaviour: &Behaviour, path: &str, address: SocketAddr) -> Answer {
    let (content_type, mut file) = if path.rsplit('.').next() == Some("png") {
        ("image/png", pictures::png(path))
    } else {
        ("image/jpeg", pictures::jpeg(path))
    };
    match behaviour {
        Behaviour::HugePicture => Answer::Endless { start: file },
        Behaviour::LyingLength => Answer::Short { announced: file.len() + 1_000, body: file },
        Behaviour::TruncatedPicture => {
            file.truncate(file.len() / 2);
            Answer::whole(200, content_type, file)
        }
        Behaviour::NotAPicture => Answer::whole(200, "image/jpeg", SCRIPT.into()),
        Behaviour::RedirectTo(url) => Answer::redirect(url.clone()),
        Behaviour::RedirectLoop => Answer::redirect(format!("http://{address}{path}")),
        _ => Answer::whole(200, content_type, file),
    }
}
