//! The data of the event `orders.paid`, which `events/order-paid.schema.json` describes.

use std::borrow::Cow;
use std::sync::LazyLock;

use kennel_core::codec::Json;
use kennel_core::{EventType, Validate, Violations};
use regex::Regex;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

static PATTERN_1: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new("^[A-Z0-9-]{1,20}$").ok());

/// An order was paid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderPaid {
    /// The property `order_id`.
    pub order_id: uuid::Uuid,
    /// The property `cents`.
    pub cents: i64,
    /// The property `method`.
    pub method: OrderPaidMethod,
    /// The property `lines`.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "kennel_core::contract::present")]
    pub lines: Option<Vec<Line>>,
}

impl Validate for OrderPaid {
    fn validate(&self, at: &mut Violations) {
        at.field("cents", |at| {
            at.range(self.cents, 1..);
        });
        if let Some(value) = &self.lines {
            at.field("lines", |at| {
                at.count(value.len(), ..=50);
                at.each(value, |at, element| {
                    element.validate(at);
                });
            });
        }
    }
}

/// The schema `OrderPaidMethod`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OrderPaidMethod {
    /// `card`
    #[serde(rename = "card")]
    Card,
    /// `transfer`
    #[serde(rename = "transfer")]
    Transfer,
}

impl OrderPaidMethod {
    /// The text in the document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::Transfer => "transfer",
        }
    }
}

impl Validate for OrderPaidMethod {}

/// The schema `Line`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// The property `sku`.
    pub sku: String,
}

impl Validate for Line {
    fn validate(&self, at: &mut Violations) {
        at.field("sku", |at| {
            at.pattern(PATTERN_1.as_ref().is_some_and(|pattern| pattern.is_match(&self.sku)), "^[A-Z0-9-]{1,20}$");
        });
    }
}

impl EventType for OrderPaid {
    const NAME: &'static str = "orders.paid";
    const TOPIC: &'static str = "shop.orders";

    type Codec = Json;

    fn key(&self) -> String {
        self.order_id.to_string()
    }
}

/// The contract of the event has the schema as it is.
impl JsonSchema for OrderPaid {
    fn schema_name() -> Cow<'static, str> {
        "OrderPaid".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        serde_json::from_str(include_str!("order_paid.schema.json")).unwrap_or_default()
    }
}
