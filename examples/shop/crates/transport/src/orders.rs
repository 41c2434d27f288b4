//! The HTTP API that `api/orders.yaml` describes.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing;
use kennel_http::contract::{self, DeclaredError, Input};
use kennel_http::{HttpError, Problem};
use shop_contracts::orders;
use utoipa_axum::router::OpenApiRouter;

/// The implementation of the operations.
pub type Shared = Arc<dyn orders::Api>;

/// The routes.
pub fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(contract::document(orders::DOCUMENT))
        .route("/v1/categories", routing::get(get_categories))
        .route("/v1/orders", routing::get(list_orders).post(create_order))
        .route("/v1/orders/{id}", routing::get(get_order).patch(change_order).delete(cancel_order))
}

/// The error of the API for a problem of the platform.
fn error_of(problem: &Problem) -> orders::Error {
    orders::Error {
        code: problem.code.clone().into_owned(),
        message: problem.detail.clone().unwrap_or_else(|| problem.title.clone().into_owned()),
        fields: Some(
            problem
                .errors
                .iter()
                .map(|invalid| orders::ErrorFieldsItem { name: invalid.field.clone(), reason: invalid.reason.clone() })
                .collect(),
        ),
    }
}

const ERRORS: &[DeclaredError] =
    &[DeclaredError { statuses: 400..=599, render: |status, problem| contract::json(status, &error_of(problem)) }];

const ERRORS_2: &[DeclaredError] = &[
    DeclaredError { statuses: 409..=409, render: |status, problem| contract::json(status, &error_of(problem)) },
    DeclaredError { statuses: 400..=499, render: |status, problem| contract::json(status, &error_of(problem)) },
    DeclaredError { statuses: 400..=599, render: |status, problem| contract::json(status, &error_of(problem)) },
];

const ERRORS_3: &[DeclaredError] = &[
    DeclaredError { statuses: 404..=404, render: |status, problem| contract::json(status, &error_of(problem)) },
    DeclaredError { statuses: 400..=599, render: |status, problem| contract::json(status, &error_of(problem)) },
];

/// `GET /v1/orders`
async fn list_orders(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(api.authenticate_token(input.bearer()?).await?);
        let request = contract::checked(orders::ListOrdersRequest {
            limit: input.query("limit", contract::integer)?.unwrap_or(20),
            status: input.query_list("status", contract::text)?,
            sort: input.query("sort", contract::text)?.unwrap_or(orders::ListOrdersSort::CreatedAt),
        })?;
        Ok::<_, HttpError>(api.list_orders(request).await?)
    };
    match answer.await {
        Ok(orders::ListOrdersResponse::Ok(body)) => contract::json(200, &body),
        Ok(orders::ListOrdersResponse::Default(status, body)) => contract::json(status, &body),
        Err(error) => contract::failed(error, ERRORS),
    }
}

/// `POST /v1/orders`
async fn create_order(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(api.authenticate_token(input.bearer()?).await?);
        let request = contract::checked(orders::CreateOrderRequest {
            idempotency_key: input.header("idempotency-key", contract::text)?,
            body: input.json().await?,
        })?;
        Ok::<_, HttpError>(api.create_order(request).await?)
    };
    match answer.await {
        Ok(orders::CreateOrderResponse::Created(body)) => contract::json(201, &body),
        Ok(orders::CreateOrderResponse::Conflict(body)) => contract::json(409, &body),
        Ok(
            orders::CreateOrderResponse::ClientError(status, body) | orders::CreateOrderResponse::Default(status, body),
        ) => contract::json(status, &body),
        Err(error) => contract::failed(error, ERRORS_2),
    }
}

/// `GET /v1/orders/{id}`
async fn get_order(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(api.authenticate_token(input.bearer()?).await?);
        let request = contract::checked(orders::GetOrderRequest { id: input.path("id", contract::text)? })?;
        Ok::<_, HttpError>(api.get_order(request).await?)
    };
    match answer.await {
        Ok(orders::GetOrderResponse::Ok(body)) => contract::json(200, &body),
        Ok(orders::GetOrderResponse::NotFound(body)) => contract::json(404, &body),
        Ok(orders::GetOrderResponse::Default(status, body)) => contract::json(status, &body),
        Err(error) => contract::failed(error, ERRORS_3),
    }
}

/// `PATCH /v1/orders/{id}`
async fn change_order(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(api.authenticate_token(input.bearer()?).await?);
        let request = contract::checked(orders::ChangeOrderRequest {
            id: input.path("id", contract::text)?,
            body: input.json().await?,
        })?;
        Ok::<_, HttpError>(api.change_order(request).await?)
    };
    match answer.await {
        Ok(orders::ChangeOrderResponse::Ok(body)) => contract::json(200, &body),
        Ok(orders::ChangeOrderResponse::Default(status, body)) => contract::json(status, &body),
        Err(error) => contract::failed(error, ERRORS),
    }
}

/// `DELETE /v1/orders/{id}`
async fn cancel_order(State(api): State<Shared>, request: Request) -> Response {
    let answer = async {
        let input = Input::new(request).await?;
        contract::identify(api.authenticate_token(input.bearer()?).await?);
        let request = contract::checked(orders::CancelOrderRequest {
            id: input.path("id", contract::text)?,
            body: input.optional_json().await?,
        })?;
        Ok::<_, HttpError>(api.cancel_order(request).await?)
    };
    match answer.await {
        Ok(orders::CancelOrderResponse::NoContent) => contract::empty(204),
        Ok(orders::CancelOrderResponse::Default(status, body)) => contract::json(status, &body),
        Err(error) => contract::failed(error, ERRORS),
    }
}

/// `GET /v1/categories`
async fn get_categories(State(api): State<Shared>) -> Response {
    let answer = async { Ok::<_, HttpError>(api.get_categories().await?) };
    match answer.await {
        Ok(orders::GetCategoriesResponse::Ok(body)) => contract::json(200, &body),
        Err(error) => contract::failed(error, &[]),
    }
}
