//! The steps of the session.

use kennel_proto::dogs::v1::{
    CreateDogRequest, DeleteDogRequest, GetDogRequest, ListDogsRequest, Order, UpdateDogRequest,
};
use prost_types::FieldMask;

use crate::session::Captured;

/// One step of the session.
pub struct Step {
    pub call: Call,
    /// The name of the captured values of the response, for later steps.
    pub capture: Option<&'static str>,
}

/// A request or a call.
pub enum Call {
    Http {
        method: &'static str,
        target: &'static str,
        headers: &'static [(&'static str, &'static str)],
        body: Body,
    },
    Rpc(Rpc),
    /// Not part of the session: waits until the captured dog has a thumbnail.
    Thumbnail(&'static str),
}

/// A request body. In bodies, targets and headers, `{rex}` is replaced by the captured id of that name, `{rex.etag}` by its
/// entity tag, `{rex.next}` by the link to the next page.
pub enum Body {
    None,
    Text(&'static str),
    /// Spaces, more than the limit.
    Long(usize),
    /// An image with this seed.
    Jpeg(&'static str),
}

/// A gRPC call, with the function that creates its message.
#[derive(Clone, Copy)]
pub enum Rpc {
    Create(fn(&Captured) -> CreateDogRequest),
    Get(fn(&Captured) -> GetDogRequest),
    List(fn(&Captured) -> ListDogsRequest),
    Update(fn(&Captured) -> UpdateDogRequest),
    Delete(fn(&Captured) -> DeleteDogRequest),
    Breeds,
    /// Lists the services by reflection.
    Services,
}

const JSON: (&str, &str) = ("content-type", "application/json");
const LINES: (&str, &str) = ("content-type", "application/x-ndjson");
const UNKNOWN: &str = "/api/v1/dogs/0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10";

const fn http(
    method: &'static str,
    target: &'static str,
    headers: &'static [(&'static str, &'static str)],
    body: Body,
) -> Step {
    Step { call: Call::Http { method, target, headers, body }, capture: None }
}

const fn get(target: &'static str) -> Step {
    http("GET", target, &[], Body::None)
}

const fn rpc(rpc: Rpc) -> Step {
    Step { call: Call::Rpc(rpc), capture: None }
}

const fn thumbnail(of: &'static str) -> Step {
    Step { call: Call::Thumbnail(of), capture: None }
}

impl Step {
    const fn capture(mut self, name: &'static str) -> Self {
        self.capture = Some(name);
        self
    }
}

/// The sections of the session, each with its heading.
pub const SESSION: [(&str, &[Step]); 8] = [
    ("An empty store", &[get("/api/v1/dogs"), get("/api/v1/breeds"), rpc(Rpc::Services)]),
    ("Creating dogs", CREATE),
    ("Reading and updating them", UPDATE),
    ("Images", IMAGES),
    ("Import", IMPORT),
    ("Lists", LISTS),
    ("Over gRPC", GRPC),
    ("Deleting them, and missing dogs", DELETE),
];

const CREATE: &[Step] = &[
    http(
        "POST",
        "/api/v1/dogs",
        &[JSON, ("idempotency-key", "first")],
        Body::Text(r#"{"breed":"Husky","name":"Rex","image_url":"https://dogs.example/rex.jpg"}"#),
    )
    .capture("rex"),
    http(
        "POST",
        "/api/v1/dogs",
        &[JSON, ("idempotency-key", "first")],
        Body::Text(r#"{"breed":"Husky","name":"Rex","image_url":"https://dogs.example/rex.jpg"}"#),
    ),
    http("POST", "/api/v1/dogs", &[JSON, ("idempotency-key", "first")], Body::Text(r#"{"breed":"pug"}"#)),
    http("POST", "/api/v1/dogs", &[JSON], Body::Text(r#"{"breed":"hound/afghan"}"#)).capture("afghan"),
    http("POST", "/api/v1/dogs", &[JSON], Body::Text("{\"breed\":\"pug\",\"name\":\"K\u{e4}the \u{1f415}\"}")),
    http("POST", "/api/v1/dogs", &[JSON], Body::Text(r#"{"breed":"husky""#)),
    http("POST", "/api/v1/dogs", &[JSON], Body::Text(r#"{"breed":"husky","name":" "}"#)),
    http("POST", "/api/v1/dogs", &[JSON], Body::Text(r#"{"breed":"no dog!","colour":"red"}"#)),
    http("POST", "/api/v1/dogs", &[("content-type", "text/plain")], Body::Text("husky")),
    http("POST", "/api/v1/dogs", &[JSON], Body::Long(5_000)),
    http("POST", "/api/v1/dogs", &[JSON, ("idempotency-key", "two words")], Body::Text(r#"{"breed":"husky"}"#)),
];

const UPDATE: &[Step] = &[
    get("/api/v1/dogs/{rex}"),
    get("/api/v1/dogs/{rex}"),
    http("GET", "/api/v1/dogs/{rex}", &[("if-none-match", "{rex.etag}")], Body::None),
    http("PATCH", "/api/v1/dogs/{rex}", &[JSON, ("if-match", "\"7\"")], Body::Text(r#"{"name":"Balto"}"#)),
    http("PATCH", "/api/v1/dogs/{rex}", &[JSON, ("if-match", "{rex.etag}")], Body::Text(r#"{"name":"Balto"}"#))
        .capture("rex"),
    get("/api/v1/dogs/{rex}"),
    http("PATCH", "/api/v1/dogs/{rex}", &[JSON], Body::Text(r#"{"name":null,"image_url":null}"#)),
    http("PATCH", "/api/v1/dogs/{rex}", &[JSON], Body::Text(r#"{"name":""}"#)),
    http("PATCH", "/api/v1/dogs/{rex}", &[JSON], Body::Text("{}")),
    get("/api/v1/dogs/{rex}").capture("rex"),
];

const IMAGES: &[Step] = &[
    get("/api/v1/dogs/{rex}/photo"),
    http("PUT", "/api/v1/dogs/{rex}/photo", &[("content-type", "image/jpeg")], Body::Jpeg("rex")),
    thumbnail("rex"),
    get("/api/v1/dogs/{rex}").capture("rex"),
    get("/api/v1/dogs/{rex}/photo").capture("photo"),
    http("GET", "/api/v1/dogs/{rex}/photo", &[("if-none-match", "{photo.etag}")], Body::None),
    http("GET", "/api/v1/dogs/{rex}/photo", &[("range", "bytes=2-9")], Body::None),
    http("GET", "/api/v1/dogs/{rex}/photo", &[("range", "bytes=9999999-")], Body::None),
    get("/api/v1/dogs/{rex}/photo?variant=thumbnail"),
    http("PUT", "/api/v1/dogs/{rex}/photo", &[("content-type", "image/png")], Body::Text("no image")),
    http("PUT", "/api/v1/dogs/{rex}/photo", &[("content-type", "image/jpeg")], Body::Long(70_000)),
    get("/api/v1/dogs/husky/image").capture("fetched"),
    thumbnail("fetched"),
    get("/api/v1/dogs/{fetched}"),
    get("/api/v1/dogs/{fetched}/photo"),
    get("/api/v1/dogs/unicorn/image"),
];

const IMPORT: &[Step] = &[
    http(
        "POST",
        "/api/v1/dogs/import",
        &[LINES, ("idempotency-key", "batch")],
        Body::Text(
            "{\"breed\":\"boxer\",\"name\":\"A\"}\n{\"breed\":\"boxer\",\"name\":\"\\u0007\"}\nnot json\n{\"breed\":\"boxer\",\"name\":\"B\"}\n",
        ),
    ),
    http(
        "POST",
        "/api/v1/dogs/import",
        &[LINES, ("idempotency-key", "batch")],
        Body::Text(
            "{\"breed\":\"boxer\",\"name\":\"A\"}\n{\"breed\":\"boxer\",\"name\":\"\\u0007\"}\nnot json\n{\"breed\":\"boxer\",\"name\":\"B\"}\n",
        ),
    ),
    http("POST", "/api/v1/dogs/import", &[JSON], Body::Text("{}")),
    get("/api/v1/dogs?breed=boxer&order=asc"),
];

const LISTS: &[Step] = &[
    get("/api/v1/dogs?limit=2").capture("page"),
    get("{page.next}").capture("page"),
    get("{page.next}").capture("page"),
    get("{page.next}"),
    get("/api/v1/dogs?breed=husky&order=asc"),
    get("/api/v1/dogs?breed=unicorn"),
    get("/api/v1/dogs?limit=0"),
    get("/api/v1/dogs?cursor=nonsense"),
    get("/api/v1/dogs?order=sideways"),
    get("/api/v1/dogs?colour=red"),
    get("/api/v1/breeds"),
];

const GRPC: &[Step] = &[
    rpc(Rpc::Create(|_| CreateDogRequest {
        breed: "Hound/Afghan".to_owned(),
        name: Some("Laika".to_owned()),
        idempotency_key: "over-grpc".to_owned(),
        ..Default::default()
    }))
    .capture("laika"),
    rpc(Rpc::Create(|_| CreateDogRequest {
        breed: "Hound/Afghan".to_owned(),
        name: Some("Laika".to_owned()),
        idempotency_key: "over-grpc".to_owned(),
        ..Default::default()
    })),
    rpc(Rpc::Create(|_| CreateDogRequest {
        breed: "pug".to_owned(),
        idempotency_key: "over-grpc".to_owned(),
        ..Default::default()
    })),
    rpc(Rpc::Create(|_| CreateDogRequest { name: Some("nobody".to_owned()), ..Default::default() })),
    rpc(Rpc::Get(|captured| GetDogRequest { id: captured.of("laika") })),
    rpc(Rpc::Get(|_| GetDogRequest { id: "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10".to_owned() })),
    rpc(Rpc::Get(|_| GetDogRequest { id: "nobody".to_owned() })),
    rpc(Rpc::Update(|captured| UpdateDogRequest {
        id: captured.of("laika"),
        name: Some("Belka".to_owned()),
        expected_revision: Some(1),
        ..Default::default()
    })),
    rpc(Rpc::Update(|captured| UpdateDogRequest {
        id: captured.of("laika"),
        name: Some("Strelka".to_owned()),
        expected_revision: Some(1),
        ..Default::default()
    })),
    rpc(Rpc::Update(|captured| UpdateDogRequest {
        id: captured.of("laika"),
        update_mask: Some(FieldMask { paths: vec!["colour".to_owned()] }),
        ..Default::default()
    })),
    rpc(Rpc::List(|_| ListDogsRequest { page_size: 2, order: Order::Ascending.into(), ..Default::default() })),
    rpc(Rpc::List(|_| ListDogsRequest { breed: "hound-afghan".to_owned(), ..Default::default() })),
    rpc(Rpc::List(|_| ListDogsRequest { page_token: "nonsense".to_owned(), ..Default::default() })),
    rpc(Rpc::Breeds),
    rpc(Rpc::Delete(|captured| DeleteDogRequest { id: captured.of("laika"), expected_revision: Some(7) })),
    rpc(Rpc::Delete(|captured| DeleteDogRequest { id: captured.of("laika"), expected_revision: Some(2) })),
    rpc(Rpc::Delete(|captured| DeleteDogRequest { id: captured.of("laika"), expected_revision: None })),
];

const DELETE: &[Step] = &[
    http("DELETE", "/api/v1/dogs/{afghan}", &[("if-match", "\"7\"")], Body::None),
    http("DELETE", "/api/v1/dogs/{afghan}", &[("if-match", "{afghan.etag}")], Body::None),
    http("DELETE", "/api/v1/dogs/{afghan}", &[], Body::None),
    get("/api/v1/dogs/{afghan}"),
    http("PATCH", "/api/v1/dogs/{afghan}", &[JSON], Body::Text(r#"{"name":"late"}"#)),
    get(UNKNOWN),
    get("/api/v1/dogs/nobody"),
    get("/api/v1/cats"),
    http("DELETE", "/api/v1/breeds", &[], Body::None),
    http("HEAD", "/api/v1/dogs/husky/image", &[], Body::None),
];
