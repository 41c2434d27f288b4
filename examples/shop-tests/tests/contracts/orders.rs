//! A server for a document in OpenAPI 3.1.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kennel_core::{ErrorKind, Failure, Principal, Timestamp};
use kennel_http::{HttpConfig, HttpMetrics};
use prometheus::Registry;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use shop_contracts::orders::{
    Api, CancelOrderRequest, CancelOrderResponse, Category, ChangeOrderRequest, ChangeOrderResponse,
    CreateOrderRequest, CreateOrderResponse, Error, GetCategoriesResponse, GetOrderRequest, GetOrderResponse,
    ListOrders200Response, ListOrdersRequest, ListOrdersResponse, Order, Status,
};
use uuid::Uuid;

/// The operations, with orders in memory.
#[derive(Default)]
struct Orders {
    stored: Mutex<Vec<Order>>,
    seen: Mutex<Vec<ListOrdersRequest>>,
    created: Mutex<Vec<CreateOrderRequest>>,
    cancelled: Mutex<Vec<CancelOrderRequest>>,
}

fn unknown() -> Error {
    Error { code: "unknown_order".to_owned(), message: "there is no such order".to_owned(), fields: None }
}

#[async_trait]
impl Api for Orders {
    async fn authenticate_token(&self, credential: &str) -> Result<Principal, Failure> {
        match credential {
            "secret" => Ok(Principal::new("user-1", ["orders"])),
            _ => Err(Failure::new(ErrorKind::Unauthenticated, "the token is unknown")),
        }
    }

    async fn list_orders(&self, request: ListOrdersRequest) -> Result<ListOrdersResponse, Failure> {
        self.seen.lock().unwrap().push(request);
        let orders = self.stored.lock().unwrap().clone();
        let total = i64::try_from(orders.len()).unwrap();
        Ok(ListOrdersResponse::Ok(ListOrders200Response { orders, total }))
    }

    async fn create_order(&self, request: CreateOrderRequest) -> Result<CreateOrderResponse, Failure> {
        self.created.lock().unwrap().push(request.clone());
        let new = request.body;
        if new.lines[0].sku == "TAKEN" {
            let error = Error { code: "taken".to_owned(), message: "it is taken".to_owned(), fields: None };
            return Ok(CreateOrderResponse::Conflict(error));
        }
        let order = Order {
            id: Uuid::from_u128(7),
            created_at: Timestamp::from_millis(0).unwrap(),
            status: Status::Open,
            lines: new.lines,
            address: new.address,
            note: new.note,
        };
        self.stored.lock().unwrap().push(order.clone());
        Ok(CreateOrderResponse::Created(order))
    }

    async fn get_order(&self, request: GetOrderRequest) -> Result<GetOrderResponse, Failure> {
        let found = self.stored.lock().unwrap().iter().find(|order| order.id == request.id).cloned();
        Ok(found.map_or_else(|| GetOrderResponse::NotFound(unknown()), GetOrderResponse::Ok))
    }

    async fn change_order(&self, request: ChangeOrderRequest) -> Result<ChangeOrderResponse, Failure> {
        let mut stored = self.stored.lock().unwrap();
        let Some(order) = stored.iter_mut().find(|order| order.id == request.id) else {
            return Ok(ChangeOrderResponse::Default(410, unknown()));
        };
        if let Some(note) = request.body.note {
            order.note = note;
        }
        order.status = request.body.status.unwrap_or(order.status);
        Ok(ChangeOrderResponse::Ok(order.clone()))
    }

    async fn cancel_order(&self, request: CancelOrderRequest) -> Result<CancelOrderResponse, Failure> {
        self.cancelled.lock().unwrap().push(request);
        Ok(CancelOrderResponse::NoContent)
    }

    async fn get_categories(&self) -> Result<GetCategoriesResponse, Failure> {
        let root = Category { name: "all".to_owned(), parent: None, children: Vec::new() };
        let child = Category { name: "pens".to_owned(), parent: Some(Box::new(root.clone())), children: Vec::new() };
        Ok(GetCategoriesResponse::Ok(Category { children: vec![child], ..root }))
    }
}

struct Server {
    orders: Arc<Orders>,
    address: SocketAddr,
    client: reqwest::Client,
}

impl Server {
    /// The routes with all layers of the platform, on a free port.
    async fn start() -> Self {
        // Another test of this process may already have installed it.
        rustls::crypto::ring::default_provider().install_default().ok();
        let orders = Arc::new(Orders::default());
        let (routes, _) = shop_transport::orders::routes().split_for_parts();
        let shared: shop_transport::orders::Shared = Arc::<Orders>::clone(&orders);
        let metrics = HttpMetrics::register(&Registry::new()).unwrap();
        let served = kennel_http::stack(routes.with_state(shared), &HttpConfig::default(), &metrics);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        tokio::spawn(async move { axum::serve(listener, served).await });
        Self { orders, address, client: reqwest::Client::new() }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let request = self.client.request(method, format!("http://{}/v1{path}", self.address)).bearer_auth("secret");
        let request = if let Some(body) = body { request.json(body) } else { request };
        read(request.send().await.unwrap()).await
    }
}

async fn read(response: Response) -> (u16, Value) {
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.bytes().await.unwrap()).unwrap_or_default())
}

fn new_order() -> Value {
    json!({
        "lines": [{ "sku": "PEN-1", "quantity": 2, "unitPrice": 150 }],
        "address": { "street": "Main 1", "country": "DE" },
        "note": null,
    })
}

/// The error of the document for a refused request.
fn refused(reasons: &[(&str, &str)]) -> Value {
    let fields: Vec<_> = reasons.iter().map(|(name, reason)| json!({ "name": name, "reason": reason })).collect();
    json!({ "code": "invalid", "message": format!("{}: {}", reasons[0].0, reasons[0].1), "fields": fields })
}

#[tokio::test]
async fn every_operation_is_served() {
    let server = Server::start().await;
    let (status, created) = server.send(Method::POST, "/orders", Some(&new_order())).await;
    assert_eq!(status, 201, "{created}");
    let expected = json!({
        "id": "00000000-0000-0000-0000-000000000007", "created_at": "1970-01-01T00:00:00.000Z", "status": "open",
        "lines": [{ "sku": "PEN-1", "quantity": 2, "unitPrice": 150, "gift": false }],
        "address": { "street": "Main 1", "country": "DE" },
    });
    assert_eq!(created, expected);
    assert_eq!(server.orders.created.lock().unwrap()[0].body.r#type.as_str(), "standard");

    let path = "/orders/00000000-0000-0000-0000-000000000007";
    assert_eq!(server.send(Method::GET, path, None).await, (200, created.clone()));
    let (status, changed) =
        server.send(Method::PATCH, path, Some(&json!({ "note": "x", "status": "in-transit" }))).await;
    assert_eq!((status, &changed["note"], &changed["status"]), (200, &json!("x"), &json!("in-transit")));
    // `null` is a change, an absent field is none.
    assert_eq!(server.send(Method::PATCH, path, Some(&json!({}))).await.1["note"], "x");
    assert_eq!(server.send(Method::PATCH, path, Some(&json!({ "note": null }))).await.1.get("note"), None);
    let (status, page) = server.send(Method::GET, "/orders?status=open&status=paid&limit=5", None).await;
    assert_eq!((status, &page["total"]), (200, &json!(1)));
    let seen = server.orders.seen.lock().unwrap().remove(0);
    assert_eq!(
        (seen.limit, seen.status, seen.sort.as_str()),
        (5, Some(vec![Status::Open, Status::Paid]), "created_at")
    );

    assert_eq!(server.send(Method::DELETE, path, None).await.0, 204);
    assert_eq!(server.send(Method::DELETE, path, Some(&json!({ "reason": "late" }))).await.0, 204);
    let cancelled = server.orders.cancelled.lock().unwrap().clone();
    assert_eq!(cancelled[0].body, None);
    assert_eq!(cancelled[1].body.clone().unwrap().reason.as_deref(), Some("late"));
    // Without credentials: the document says that it needs none.
    let tree = server.client.get(format!("http://{}/v1/categories", server.address)).send().await.unwrap();
    assert_eq!(read(tree).await.1["children"][0]["parent"]["name"], "all");
}

#[tokio::test]
async fn responses_that_the_document_declares_are_sent_as_they_are() {
    let server = Server::start().await;
    let mut taken = new_order();
    taken["lines"][0]["sku"] = "TAKEN".into();
    let expected = json!({ "code": "taken", "message": "it is taken" });
    assert_eq!(server.send(Method::POST, "/orders", Some(&taken)).await, (409, expected));
    let unknown = json!({ "code": "unknown_order", "message": "there is no such order" });
    let path = "/orders/00000000-0000-0000-0000-000000000001";
    assert_eq!(server.send(Method::GET, path, None).await, (404, unknown.clone()));
    assert_eq!(server.send(Method::PATCH, path, Some(&json!({}))).await, (410, unknown));
}

#[tokio::test]
async fn what_the_document_does_not_allow_is_refused_with_its_error() {
    let server = Server::start().await;
    for (change, reasons) in [
        (json!({ "lines": [] }), &[("lines", "must be at least 1 and at most 50 elements")][..]),
        (
            json!({ "lines": [{ "sku": "a", "quantity": 0, "unitPrice": 1, "weight": 0 }], "labels": { "a": "x".repeat(41) } }),
            &[
                ("lines[0].sku", "must match ^[A-Z0-9-]{1,20}$"),
                ("lines[0].quantity", "must be at least 1 and at most 1000"),
                ("lines[0].weight", "must be more than 0 and at most 1000"),
                ("labels.a", "must be at most 40 characters long"),
            ][..],
        ),
        (
            json!({ "address": { "street": "", "country": "de" } }),
            &[
                ("address.street", "must be at least 1 and at most 100 characters long"),
                ("address.country", "must match ^[A-Z]{2}$"),
            ][..],
        ),
    ] {
        let mut order = new_order();
        order.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        assert_eq!(server.send(Method::POST, "/orders", Some(&order)).await, (422, refused(reasons)));
    }
    let mut order = new_order();
    order.as_object_mut().unwrap().remove("note");
    for (body, field) in [
        (order, "note"),
        (json!({ "lines": [], "address": {}, "note": null }), "address.street"),
        (
            json!({ "note": null, "lines": [], "address": { "street": "a", "country": "DE", "city": "x" } }),
            "address.city",
        ),
        (json!({ "note": 5 }), "note"),
        (json!({ "type": "slow" }), "type"),
    ] {
        let (status, error) = server.send(Method::POST, "/orders", Some(&body)).await;
        let at = error["fields"][0]["name"].as_str().unwrap_or_default().to_owned();
        assert!(status == 422 && !at.is_empty() && field.starts_with(&at), "{body}: {error}");
    }
    for (path, reason) in [
        ("/orders?limit=0", ("limit", "must be at least 1 and at most 100")),
        ("/orders?limit=x", ("limit", "must be a whole number in range")),
        ("/orders?limit=1&limit=2", ("limit", "must be there once")),
        ("/orders?status=open&status=open&status=open&status=open", ("status", "must be at most 3 elements")),
    ] {
        assert_eq!(server.send(Method::GET, path, None).await, (422, refused(&[reason])), "{path}");
    }
    let (status, error) = server.send(Method::GET, "/orders/7", None).await;
    assert_eq!((status, &error["code"], &error["fields"][0]["name"]), (422, &json!("invalid"), &json!("id")));
}

#[tokio::test]
async fn every_other_failure_has_the_error_of_the_document_too() {
    let server = Server::start().await;
    let url = format!("http://{}/v1/orders", server.address);
    for (request, status, code) in [
        (server.client.get(&url), 401, "unauthenticated"),
        (server.client.get(&url).bearer_auth("wrong"), 401, "unauthenticated"),
        (server.client.post(&url).bearer_auth("secret").body("{}"), 415, "unsupported_media_type"),
        (
            server.client.post(&url).bearer_auth("secret").header("content-type", "application/json").body("{"),
            400,
            "malformed",
        ),
    ] {
        let response = request.send().await.unwrap();
        assert!(response.headers().contains_key("x-request-id"));
        assert_eq!(response.headers().contains_key("www-authenticate"), status == 401);
        let (found, error) = read(response).await;
        assert_eq!((found, error["code"].as_str()), (status, Some(code)), "{error}");
        assert!(error["message"].is_string() && error.get("title").is_none(), "{error}");
    }
}

/// The description that is served has what the document has.
#[test]
fn the_document_is_served_whole() {
    let api = shop_transport::orders::routes().into_openapi();
    let served: Value = serde_json::from_str(&api.to_json().unwrap()).unwrap();
    let document: Value = serde_json::from_str(shop_contracts::orders::DOCUMENT).unwrap();
    assert_eq!(lost(&document, &served, ""), Vec::<String>::new());
}

/// The paths of values that another document does not have.
fn lost(expected: &Value, found: &Value, path: &str) -> Vec<String> {
    match (expected, found) {
        (Value::Object(fields), Value::Object(others)) => fields
            .iter()
            .flat_map(|(key, value)| lost(value, others.get(key).unwrap_or(&Value::Null), &format!("{path}/{key}")))
            .collect(),
        (Value::Array(elements), Value::Array(others)) if elements.len() == others.len() => {
            let pairs = elements.iter().zip(others).enumerate();
            pairs.flat_map(|(index, (one, other))| lost(one, other, &format!("{path}/{index}"))).collect()
        }
        (Value::Number(one), Value::Number(other)) if one.as_f64() == other.as_f64() => Vec::new(),
        _ if expected == found => Vec::new(),
        _ => vec![format!("{path}: {expected} is {found}")],
    }
}
