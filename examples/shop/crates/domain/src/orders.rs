//! The operations of `api/orders.yaml`.

use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::{Failure, Principal};
use shop_contracts::orders::{
    Api, CancelOrderRequest, CancelOrderResponse, ChangeOrderRequest, ChangeOrderResponse, CreateOrderRequest,
    CreateOrderResponse, GetCategoriesResponse, GetOrderRequest, GetOrderResponse, ListOrdersRequest,
    ListOrdersResponse,
};
use shop_contracts::payments;

use crate::ItemService;
use crate::mailer::MailerQueue;
use crate::order_events::OrderEventsProducer;

/// Implements the operations.
#[derive(Clone)]
pub struct OrdersApi {
    /// The operations on items.
    pub items: ItemService,
    /// The client of `payments`.
    pub payments: Arc<dyn payments::Api>,
    /// The producer `order-events`.
    pub order_events: OrderEventsProducer,
    /// The queue `mailer`.
    pub mailer: MailerQueue,
}

#[async_trait]
impl Api for OrdersApi {
    async fn authenticate_token(&self, _credential: &str) -> Result<Principal, Failure> {
        Err(Failure::unimplemented("authenticate_token"))
    }

    async fn list_orders(&self, _request: ListOrdersRequest) -> Result<ListOrdersResponse, Failure> {
        Err(Failure::unimplemented("listOrders"))
    }

    async fn create_order(&self, _request: CreateOrderRequest) -> Result<CreateOrderResponse, Failure> {
        Err(Failure::unimplemented("createOrder"))
    }

    async fn get_order(&self, _request: GetOrderRequest) -> Result<GetOrderResponse, Failure> {
        Err(Failure::unimplemented("getOrder"))
    }

    async fn change_order(&self, _request: ChangeOrderRequest) -> Result<ChangeOrderResponse, Failure> {
        Err(Failure::unimplemented("changeOrder"))
    }

    async fn cancel_order(&self, _request: CancelOrderRequest) -> Result<CancelOrderResponse, Failure> {
        Err(Failure::unimplemented("cancelOrder"))
    }

    async fn get_categories(&self) -> Result<GetCategoriesResponse, Failure> {
        Err(Failure::unimplemented("getCategories"))
    }
}
