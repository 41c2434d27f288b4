//! The same session of HTTP requests and gRPC calls has the same responses, byte for byte.

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

/// Response headers that are part of the contract.
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
    let Some(environment) = pair.set_up().await else { return };
    let served = environment.serve().await;
    let mut session =
        Session { served: &served, captured: Captured::default(), mask: Mask::default(), text: String::new() };
    for (title, steps) in SESSION {
        writeln!(session.text, "# {title}\n").unwrap();
        for step in steps {
            session.execute(step).await;
        }
    }
    let text = session.text;
    served.stop().await;
    golden::check(pair, "session.txt", &text);
}

/// Values of responses that later steps use.
#[derive(Default)]
pub struct Captured(BTreeMap<String, String>);

impl Captured {
    /// The value with this name.
    pub fn of(&self, name: &str) -> String {
        self.0.get(name).unwrap_or_else(|| panic!("no response has `{name}`")).clone()
    }

    fn put(&mut self, name: &str, value: Option<String>) {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// `text` with every name in braces replaced by its value.
    fn fill(&self, text: &str) -> String {
        let replace = |text: String, (name, value): (&String, &String)| text.replace(&format!("{{{name}}}"), value);
        self.0.iter().fold(text.to_owned(), replace)
    }
}

struct Session<'a> {
    served: &'a RunningService,
    captured: Captured,
    mask: Mask,
    text: String,
}

impl Session<'_> {
    async fn execute(&mut self, step: &Step) {
        match &step.call {
            Call::Http { method, target, headers, body } => {
                let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, self.captured.fill(value))).collect();
                let response = self.request(method, &self.captured.fill(target), &headers, body).await;
                if let Some(name) = step.capture {
                    self.capture(name, &response);
                }
            }
            Call::Rpc(rpc) => self.call(*rpc, step.capture).await,
            Call::Thumbnail(name) => self.thumbnail(name).await,
        }
    }

    async fn request(&mut self, method: &str, target: &str, headers: &[(&str, String)], body: &Body) -> TestResponse {
        let target = target.strip_prefix(PUBLIC_URL).unwrap_or(target);
        let mut text = format!("> {method} {target}\n");
        let mut request = self.served.request(method, target);
        for (name, value) in headers {
            writeln!(text, "> {name}: {value}").unwrap();
            request = request.header(*name, value);
        }
        let (body, shown) = bytes(body);
        text.extend(shown.lines().map(|line| format!("> {line}\n")));
        let response = TestResponse::of(request.body(body)).await;
        writeln!(text, "< {}", response.status).unwrap();
        for name in HEADERS {
            text.extend(response.headers.get(name).map(|value| format!("< {name}: {}\n", value.to_str().unwrap())));
        }
        text.extend(content(&response).lines().map(|line| format!("< {line}\n")));
        self.write(&text);
        response
    }

    fn capture(&mut self, name: &str, response: &TestResponse) {
        let id = serde_json::from_slice::<serde_json::Value>(&response.body).ok();
        self.captured.put(name, id.and_then(|body| body["id"].as_str().map(str::to_owned)));
        self.captured.put(&format!("{name}.etag"), Some(response.header("etag").to_owned()));
        self.captured.put(&format!("{name}.next"), response.link("next"));
    }

    async fn thumbnail(&self, name: &str) {
        let path = format!("/api/v1/dogs/{}", self.captured.of(name));
        eventually("the thumbnail exists", async || {
            let dog = self.served.get(&path).await.expect(200).json();
            dog["thumbnail_url"].is_string().then_some(())
        })
        .await;
    }

    async fn call(&mut self, rpc: Rpc, capture: Option<&str>) {
        let mut client = self.served.rpc();
        match rpc {
            Rpc::Create(request) => {
                let request = request(&self.captured);
                let response = client.create_dog(request.clone()).await;
                let dog = response.as_ref().ok().and_then(|response| response.get_ref().dog.clone());
                self.record("CreateDog", &request, response);
                if let (Some(name), Some(dog)) = (capture, dog) {
                    self.captured.put(name, Some(dog.id));
                }
            }
            Rpc::Get(request) => {
                let request = request(&self.captured);
                self.record("GetDog", &request, client.get_dog(request.clone()).await);
            }
            Rpc::List(request) => {
                let request = request(&self.captured);
                self.record("ListDogs", &request, client.list_dogs(request.clone()).await);
            }
            Rpc::Update(request) => {
                let request = request(&self.captured);
                self.record("UpdateDog", &request, client.update_dog(request.clone()).await);
            }
            Rpc::Delete(request) => {
                let request = request(&self.captured);
                self.record("DeleteDog", &request, client.delete_dog(request.clone()).await);
            }
            Rpc::Breeds => {
                let request = ListBreedsRequest {};
                self.record("ListBreeds", &request, client.list_breeds(request).await);
            }
            Rpc::Services => self.services().await,
        }
    }

    async fn services(&mut self) {
        let message_request = Some(MessageRequest::ListServices(String::new()));
        let request = ServerReflectionRequest { host: String::new(), message_request };
        let mut client = ServerReflectionClient::new(self.served.channel());
        let responses = client.server_reflection_info(futures_util::stream::iter([request])).await.unwrap();
        let response = responses.into_inner().message().await.unwrap().and_then(|response| response.message_response);
        let Some(MessageResponse::ListServicesResponse(list)) = response else { panic!("{response:?}") };
        let names = list.service.iter().map(|service| service.name.as_str());
        self.write(&format!("> rpc ServerReflectionInfo\n> list services\n{}", received(names)));
    }

    fn record<T: Debug>(&mut self, method: &str, request: &impl Debug, response: Result<Response<T>, Status>) {
        let response = match response {
            Ok(response) => format!("{:?}\n{:?}", Code::Ok, response.into_inner()),
            Err(status) => format!("{:?}\n{}\n{}", status.code(), status.message(), details(&status)),
        };
        self.write(&format!("> rpc {method}\n> {request:?}\n{}", received(response.lines())));
    }

    fn write(&mut self, text: &str) {
        let masked = self.mask.apply(text);
        writeln!(self.text, "{masked}").unwrap();
    }
}

/// Formats lines of a response.
fn received<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    lines.flat_map(|line| ["< ", line, "\n"]).collect()
}

/// The bytes of a body, and its text in the session.
fn bytes(body: &Body) -> (Vec<u8>, String) {
    match body {
        Body::None => (Vec::new(), String::new()),
        Body::Text(text) => (text.as_bytes().to_vec(), (*text).to_owned()),
        Body::Long(length) => (vec![b' '; *length], format!("<{length} spaces>")),
        Body::Jpeg(seed) => {
            let image = images::jpeg(seed);
            let shown = digest(&image);
            (image, shown)
        }
    }
}

/// A body as text; an image as its length and digest.
fn content(response: &TestResponse) -> String {
    match std::str::from_utf8(&response.body) {
        Ok(text) => text.to_owned(),
        Err(_) => digest(&response.body),
    }
}

fn digest(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    let start = u64::from_be_bytes(std::array::from_fn(|place| digest[place]));
    format!("<{} bytes {start:016x}>", bytes.len())
}

/// The error details of a status.
fn details(status: &Status) -> String {
    let details = status.get_error_details();
    let mut lines = Vec::new();
    lines.extend(details.error_info().map(|detail| format!("{detail:?}")));
    lines.extend(details.bad_request().map(|detail| format!("{detail:?}")));
    lines.extend(details.precondition_failure().map(|detail| format!("{detail:?}")));
    lines.extend(details.retry_info().map(|detail| format!("{detail:?}")));
    lines.extend(details.request_info().map(|detail| format!("{detail:?}")));
    lines.extend(details.resource_info().map(|detail| format!("{detail:?}")));
    lines.join("\n")
}
