//! The API that `api/orders.yaml` describes: its types, and its operations as a trait.

use std::sync::LazyLock;

use async_trait::async_trait;
use kennel_core::{Failure, Principal, Validate, Violations};
use regex::Regex;
use serde::{Deserialize, Serialize};

/// The document, as OpenAPI 3.1.
pub const DOCUMENT: &str = include_str!("orders.openapi.json");

static PATTERN_1: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z]{2}$").ok());

static PATTERN_2: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z0-9-]{1,20}$").ok());

/// The schema `Error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Error {
    /// The property `code`.
    pub code: String,
    /// The property `message`.
    pub message: String,
    /// The property `fields`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub fields: Option<Vec<ErrorFieldsItem>>,
}

impl Validate for Error {
    fn validate(&self, at: &mut Violations) {
        if let Some(value) = &self.fields {
            at.field("fields", |at| {
                at.each(value, |at, element| {
                    element.validate(at);
                });
            });
        }
    }
}

/// The schema `ErrorFieldsItem`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ErrorFieldsItem {
    /// The property `name`.
    pub name: String,
    /// The property `reason`.
    pub reason: String,
}

impl Validate for ErrorFieldsItem {}

/// The schema `Status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Status {
    /// `open`
    #[serde(rename = "open")]
    Open,
    /// `paid`
    #[serde(rename = "paid")]
    Paid,
    /// `in-transit`
    #[serde(rename = "in-transit")]
    InTransit,
    /// `cancelled`
    #[serde(rename = "cancelled")]
    Cancelled,
}

impl Status {
    /// The text in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid => "paid",
            Self::InTransit => "in-transit",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Validate for Status {}

/// Where an order goes to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// The property `street`.
    pub street: String,
    /// The property `country`.
    pub country: String,
    /// The property `floor`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub floor: Option<Option<i32>>,
}

impl Validate for Address {
    fn validate(&self, at: &mut Violations) {
        at.field("street", |at| {
            at.length(&self.street, 1..=100);
        });
        at.field("country", |at| {
            at.pattern(PATTERN_1.as_ref().is_some_and(|pattern| pattern.is_match(&self.country)), "^[A-Z]{2}$");
        });
    }
}

/// The schema `Line`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The property `sku`.
    pub sku: String,
    /// The property `quantity`.
    pub quantity: i32,
    /// In cents.
    #[serde(rename = "unitPrice")]
    pub unit_price: i64,
    /// The property `weight`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub weight: Option<f64>,
    /// The property `gift`.
    #[serde(default = "default_line_gift")]
    pub gift: bool,
}

fn default_line_gift() -> bool {
    false
}

impl Validate for Line {
    fn validate(&self, at: &mut Violations) {
        at.field("sku", |at| {
            at.pattern(PATTERN_2.as_ref().is_some_and(|pattern| pattern.is_match(&self.sku)), "^[A-Z0-9-]{1,20}$");
        });
        at.field("quantity", |at| {
            at.range(self.quantity, 1..=1_000);
        });
        at.field("unitPrice", |at| {
            at.range(self.unit_price, 0..);
        });
        if let Some(value) = &self.weight {
            at.field("weight", |at| {
                at.range(*value, (std::ops::Bound::Excluded(0.0), std::ops::Bound::Included(1_000.0)));
            });
        }
    }
}

/// The schema `NewOrder`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// The property `lines`.
    pub lines: Vec<Line>,
    /// The property `address`.
    pub address: Address,
    /// The property `note`.
    #[serde(deserialize_with = "Option::deserialize")]
    pub note: Option<String>,
    /// The property `labels`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub labels: Option<std::collections::BTreeMap<String, String>>,
    /// The property `type`.
    #[serde(default = "default_new_order_type")]
    pub r#type: NewOrderType,
}

fn default_new_order_type() -> NewOrderType {
    NewOrderType::Standard
}

impl Validate for NewOrder {
    fn validate(&self, at: &mut Violations) {
        at.field("lines", |at| {
            at.count(self.lines.len(), 1..=50);
            at.each(&self.lines, |at, element| {
                element.validate(at);
            });
        });
        at.field("address", |at| {
            self.address.validate(at);
        });
        if let Some(value) = &self.note {
            at.field("note", |at| {
                at.length(value, ..=500);
            });
        }
        if let Some(value) = &self.labels {
            at.field("labels", |at| {
                at.count(value.len(), ..=10);
                at.entries(value, |at, element| {
                    at.length(element, ..=40);
                });
            });
        }
    }
}

/// The schema `NewOrderType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum NewOrderType {
    /// `standard`
    #[serde(rename = "standard")]
    Standard,
    /// `express`
    #[serde(rename = "express")]
    Express,
}

impl NewOrderType {
    /// The text in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Express => "express",
        }
    }
}

impl Validate for NewOrderType {}

/// The schema `Base`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Base {
    /// The property `id`.
    pub id: uuid::Uuid,
    /// The property `created_at`.
    pub created_at: kennel_core::Timestamp,
}

impl Validate for Base {}

/// The schema `Order`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The property `id`.
    pub id: uuid::Uuid,
    /// The property `created_at`.
    pub created_at: kennel_core::Timestamp,
    /// The property `status`.
    pub status: Status,
    /// The property `lines`.
    pub lines: Vec<Line>,
    /// The property `address`.
    pub address: Address,
    /// The property `note`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub note: Option<String>,
}

impl Validate for Order {
    fn validate(&self, at: &mut Violations) {
        at.field("lines", |at| {
            at.each(&self.lines, |at, element| {
                element.validate(at);
            });
        });
        at.field("address", |at| {
            self.address.validate(at);
        });
    }
}

/// The schema `OrderPatch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderPatch {
    /// The property `note`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub note: Option<Option<String>>,
    /// The property `status`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub status: Option<Status>,
    /// The property `extra`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub extra: Option<serde_json::Value>,
}

impl Validate for OrderPatch {
    fn validate(&self, at: &mut Violations) {
        if let Some(Some(value)) = &self.note {
            at.field("note", |at| {
                at.length(value, ..=500);
            });
        }
    }
}

/// The schema `Category`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Category {
    /// The property `name`.
    pub name: String,
    /// The property `parent`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub parent: Option<Box<Category>>,
    /// The property `children`.
    pub children: Vec<Category>,
}

impl Validate for Category {
    fn validate(&self, at: &mut Violations) {
        if let Some(value) = &self.parent {
            at.field("parent", |at| {
                value.validate(at);
            });
        }
        at.field("children", |at| {
            at.each(&self.children, |at, element| {
                element.validate(at);
            });
        });
    }
}

/// The schema `ListOrdersSort`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListOrdersSort {
    /// `created_at`
    #[serde(rename = "created_at")]
    CreatedAt,
    /// `-created_at`
    #[serde(rename = "-created_at")]
    MinusCreatedAt,
}

impl ListOrdersSort {
    /// The text in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CreatedAt => "created_at",
            Self::MinusCreatedAt => "-created_at",
        }
    }
}

impl Validate for ListOrdersSort {}

/// The schema `ListOrders200Response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ListOrders200Response {
    /// The property `orders`.
    pub orders: Vec<Order>,
    /// The property `total`.
    pub total: i64,
}

impl Validate for ListOrders200Response {
    fn validate(&self, at: &mut Violations) {
        at.field("orders", |at| {
            at.each(&self.orders, |at, element| {
                element.validate(at);
            });
        });
        at.field("total", |at| {
            at.range(self.total, 0..);
        });
    }
}

/// The schema `CancelOrderBody`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CancelOrderBody {
    /// The property `reason`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub reason: Option<String>,
}

impl Validate for CancelOrderBody {
    fn validate(&self, at: &mut Violations) {
        if let Some(value) = &self.reason {
            at.field("reason", |at| {
                at.length(value, ..=200);
            });
        }
    }
}

/// The input of `listOrders`.
#[derive(Debug, Clone, PartialEq)]
pub struct ListOrdersRequest {
    /// Maximum number of orders.
    pub limit: i32,
    /// Only orders with one of these states.
    pub status: Option<Vec<Status>>,
    /// The parameter `sort`.
    pub sort: ListOrdersSort,
}

impl Validate for ListOrdersRequest {
    fn validate(&self, at: &mut Violations) {
        at.field("limit", |at| {
            at.range(self.limit, 1..=100);
        });
        if let Some(value) = &self.status {
            at.field("status", |at| {
                at.count(value.len(), ..=3);
            });
        }
    }
}

/// The responses of `listOrders`.
#[derive(Debug, Clone, PartialEq)]
pub enum ListOrdersResponse {
    /// The status 200.
    Ok(ListOrders200Response),
    /// Any other status.
    Default(u16, Error),
}

/// The input of `createOrder`.
#[derive(Debug, Clone, PartialEq)]
pub struct CreateOrderRequest {
    /// The parameter `Idempotency-Key`.
    pub idempotency_key: Option<uuid::Uuid>,
    /// The body.
    pub body: NewOrder,
}

impl Validate for CreateOrderRequest {
    fn validate(&self, at: &mut Violations) {
        self.body.validate(at);
    }
}

/// The responses of `createOrder`.
#[derive(Debug, Clone, PartialEq)]
pub enum CreateOrderResponse {
    /// The status 201.
    Created(Order),
    /// The status 409.
    Conflict(Error),
    /// A status from 400 to 499.
    ClientError(u16, Error),
    /// Any other status.
    Default(u16, Error),
}

/// The input of `getOrder`.
#[derive(Debug, Clone, PartialEq)]
pub struct GetOrderRequest {
    /// The parameter `id`.
    pub id: uuid::Uuid,
}

impl Validate for GetOrderRequest {}

/// The responses of `getOrder`.
#[derive(Debug, Clone, PartialEq)]
pub enum GetOrderResponse {
    /// The status 200.
    Ok(Order),
    /// The status 404.
    NotFound(Error),
    /// Any other status.
    Default(u16, Error),
}

/// The input of `changeOrder`.
#[derive(Debug, Clone, PartialEq)]
pub struct ChangeOrderRequest {
    /// The parameter `id`.
    pub id: uuid::Uuid,
    /// The body.
    pub body: OrderPatch,
}

impl Validate for ChangeOrderRequest {
    fn validate(&self, at: &mut Violations) {
        self.body.validate(at);
    }
}

/// The responses of `changeOrder`.
#[derive(Debug, Clone, PartialEq)]
pub enum ChangeOrderResponse {
    /// The status 200.
    Ok(Order),
    /// Any other status.
    Default(u16, Error),
}

/// The input of `cancelOrder`.
#[derive(Debug, Clone, PartialEq)]
pub struct CancelOrderRequest {
    /// The parameter `id`.
    pub id: uuid::Uuid,
    /// The body.
    pub body: Option<CancelOrderBody>,
}

impl Validate for CancelOrderRequest {
    fn validate(&self, at: &mut Violations) {
        if let Some(value) = &self.body {
            value.validate(at);
        }
    }
}

/// The responses of `cancelOrder`.
#[derive(Debug, Clone, PartialEq)]
pub enum CancelOrderResponse {
    /// The status 204.
    NoContent,
    /// Any other status.
    Default(u16, Error),
}

/// The responses of `getCategories`.
#[derive(Debug, Clone, PartialEq)]
pub enum GetCategoriesResponse {
    /// The status 200.
    Ok(Category),
}

/// The operations.
#[async_trait]
pub trait Api: Send + Sync + 'static {
    /// Who has this credential of the scheme `token`. Without one, the failure has the kind `Unauthenticated`.
    async fn authenticate_token(&self, credential: &str) -> Result<Principal, Failure>;

    /// List orders
    ///
    /// `GET /v1/orders`
    async fn list_orders(&self, request: ListOrdersRequest) -> Result<ListOrdersResponse, Failure>;

    /// Create an order
    ///
    /// `POST /v1/orders`
    async fn create_order(&self, request: CreateOrderRequest) -> Result<CreateOrderResponse, Failure>;

    /// Get an order
    ///
    /// `GET /v1/orders/{id}`
    async fn get_order(&self, request: GetOrderRequest) -> Result<GetOrderResponse, Failure>;

    /// Change what is given
    ///
    /// `PATCH /v1/orders/{id}`
    async fn change_order(&self, request: ChangeOrderRequest) -> Result<ChangeOrderResponse, Failure>;

    /// Cancel an order
    ///
    /// `DELETE /v1/orders/{id}`
    async fn cancel_order(&self, request: CancelOrderRequest) -> Result<CancelOrderResponse, Failure>;

    /// The tree of categories
    ///
    /// `GET /v1/categories`
    async fn get_categories(&self) -> Result<GetCategoriesResponse, Failure>;
}
