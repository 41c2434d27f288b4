//! The same session of requests and calls is answered the same, to the byte.

use std::collections::BTreeMap;
use std::fmt::{Debug, Write as _};

use kennel_proto::dogs::v1::ListBreedsRequest;
use kennel_testkit::upstream::images;
use sha2::{Digest as _, Sha256};
use tonic::{Code, Response, Status};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_types::StatusExt as _;

use crate::golden;
use crate::mask::Mask;
use crate::pair::Pair;
use crate::service_dir::{RunningService, eventually};
use crate::steps::{Body, Call, Rpc, SESSION, Step};
use crate::support::{PUBLIC_URL, TestResponse};

/// Headers of answers that are part of the contract.
const HEADERS: [&str; 11] = [
    "accept-ranges",
    "allow",
    "cache-control",
    "content-range",
    "content-type",
    "etag",
    "idempotency-key",
    "idempotency-replayed",
    "link",
    "location",
    "retry-after",
];

pub async fn check(pair: Pair) {
    let Some(kennel) = pair.furnish().await else { return };
    let served = kennel.serve().await;
    let mut session = Session { served: &served, kept: Kept::default(), mask: Mask::default(), text: String::new() };
    for (title, steps) in SESSION {
        writeln!(session.text, "# {title}\n").unwrap();
        for step in steps {
            session.take(step).await;
        }
    }
    let text = session.text;
    served.stop().await;
    golden::hold(pair, "session.txt", &text);
}

/// What answers told that later steps need.
#[derive(Default)]
pub struct Kept(BTreeMap<String, String>);

impl Kept {
    /// What is kept under this name.
    pub fn of(&self, name: &str) -> String {
        self.0.get(name).unwrap_or_else(|| panic!("no answer told `{name}`")).clone()
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// `text` with every name in braces replaced by what is kept under it.
    fn fill(&self, text: &str) -> String {
        let replace = |text: String, (name, value): (&String, &String)| text.replace(&format!("{{{name}}}"), value);
        self.0.iter().fold(text.to_owned(), replace)
    }
}

struct Session<'a> {
    served: &'a RunningService,
    kept: Kept,
    mask: Mask,
    text: String,
}

impl Session<'_> {
    async fn take(&mut self, step: &Step) {
        match &step.call {
            Call::Http { method, target, headers, body } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, self.kept.fill(value))).collect();
                let answer = self.ask(method, &self.kept.fill(target), &headers, body).await;
                if let Some(name) = step.keep {
                    self.keep(name, &answer);
                }
            }
            Call::Rpc(rpc) => self.call(*rpc, step.keep).await,
            Call::Thumbnail(name) => self.thumbnail(name).await,
        }
    }

    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, String)], body: &Body) -> TestResponse {
        let target = target.strip_prefix(PUBLIC_URL).unwrap_or(target);
        let mut text = format!("> {method} {target}\n");
        let mut request = self.served.request(method, target);
        for (name, value) in headers {
            writeln!(text, "> {name}: {value}").unwrap();
            request = request.header(*name, value);
        }
        let (body, shown) = bytes(body);
        text.extend(shown.lines().map(|line| format!("> {line}\n")));
        let answer = TestResponse::of(request.body(body)).await;
        writeln!(text, "< {}", answer.status).unwrap();
        for name in HEADERS {
            text.extend(answer.headers.get(name).map(|value| format!("< {name}: {}\n", value.to_str().unwrap())));
        }
        text.extend(content(&answer).lines().map(|line| format!("< {line}\n")));
        self.write(&text);
        answer
    }

    fn keep(&mut self, name: &str, answer: &TestResponse) {
        let id = serde_json::from_slice::<serde_json::Value>(&answer.body).ok();
        self.kept.put(name, id.and_then(|body| body["id"].as_str().map(str::to_owned)));
        self.kept.put(&format!("{name}.etag"), Some(answer.header("etag").to_owned()));
        self.kept.put(&format!("{name}.next"), answer.link("next"));
    }

    async fn thumbnail(&self, name: &str) {
        let path = format!("/api/v1/dogs/{}", self.kept.of(name));
        eventually("the picture has a small copy", async || {
            let dog = self.served.get(&path).await.expect(200).json();
            dog["thumbnail_url"].is_string().then_some(())
        })
        .await;
    }

    async fn call(&mut self, rpc: Rpc, keep: Option<&str>) {
        let mut client = self.served.rpc();
        match rpc {
            Rpc::Create(request) => {
                let request = request(&self.kept);
                let answer = client.create_dog(request.clone()).await;
                let dog = answer.as_ref().ok().and_then(|answer| answer.get_ref().dog.clone());
                self.tell("CreateDog", &request, answer);
                if let (Some(name), Some(dog)) = (keep, dog) {
                    self.kept.put(name, Some(dog.id));
                }
            }
            Rpc::Get(request) => {
                let request = request(&self.kept);
                self.tell("GetDog", &request, client.get_dog(request.clone()).await);
            }
            Rpc::List(request) => {
                let request = request(&self.kept);
                self.tell("ListDogs", &request, client.list_dogs(request.clone()).await);
            }
            Rpc::Update(request) => {
                let request = request(&self.kept);
                self.tell("UpdateDog", &request, client.update_dog(request.clone()).await);
            }
            Rpc::Delete(request) => {
                let request = request(&self.kept);
                self.tell("DeleteDog", &request, client.delete_dog(request.clone()).await);
            }
            Rpc::Breeds => {
                let request = ListBreedsRequest {};
                self.tell("ListBreeds", &request, client.list_breeds(request).await);
            }
            Rpc::Services => self.services().await,
        }
    }

    async fn services(&mut self) {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut client = ServerReflectionClient::new(self.served.channel());
        let asked = client.server_reflection_info(futures_util::stream::iter([request])).await.unwrap();
        let answer = asked.into_inner().message().await.unwrap().and_then(|answer| answer.message_response);
        let Some(MessageResponse::ListServicesResponse(list)) = answer else { panic!("{answer:?}") };
        let names = list.service.iter().map(|service| service.name.as_str());
        self.write(&format!("> rpc ServerReflectionInfo\n> list services\n{}", received(names)));
    }

    fn tell<T: Debug>(&mut self, method: &str, request: &impl Debug, answer: Result<Response<T>, Status>) {
        let answer = match answer {
            Ok(answer) => format!("{:?}\n{:?}", Code::Ok, answer.into_inner()),
            Err(status) => format!("{:?}\n{}\n{}", status.code(), status.message(), details(&status)),
        };
        self.write(&format!("> rpc {method}\n> {request:?}\n{}", received(answer.lines())));
    }

    fn write(&mut self, text: &str) {
        let masked = self.mask.apply(text);
        writeln!(self.text, "{masked}").unwrap();
    }
}

/// These lines as the session shows what came back.
fn received<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| ["< ", line, "\n"]).collect()
}

/// What is sent, and how the session shows it.
fn bytes(body: &Body) -> (Vec<u8>, String) {
    match body {
        Body::None => (Vec::new(), String::new()),
        Body::Text(text) => (text.as_bytes().to_vec(), (*text).to_owned()),
        Body::Long(length) => (vec![b' '; *length], format!("<{length} spaces>")),
        Body::Jpeg(seed) => {
            let picture = images::jpeg(seed);
            let shown = digest(&picture);
            (picture, shown)
        }
    }
}

/// A body as text; pictures by their length and what names their content.
fn content(answer: &TestResponse) -> String {
    match std::str::from_utf8(&answer.body) {
        Ok(text) => text.to_owned(),
        Err(_) => digest(&answer.body),
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let start = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    format!("<{} bytes {start:016x}>", bytes.len())
}

/// The details of a refusal, those that are there.
fn details(status: &Status) -> String {
    let details = status.get_error_details();
    let mut told = Vec::new();
    told.extend(details.error_info().map(|detail| format!("{detail:?}")));
    told.extend(details.bad_request().map(|detail| format!("{detail:?}")));
    told.extend(details.precondition_failure().map(|detail| format!("{detail:?}")));
    told.extend(details.retry_info().map(|detail| format!("{detail:?}")));
    told.extend(details.request_info().map(|detail| format!("{detail:?}")));
    told.extend(details.resource_info().map(|detail| format!("{detail:?}")));
    told.join("\n")
}
