//! axum and sqlx, with one statement per request.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, http::StatusCode};
use kennel_core::{IdSource as _, UuidV7};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

use super::CONNECTIONS;

/// A row of `bare_dogs`, the columns of a dog.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct BareDog {
    id: Uuid,
    breed: String,
    name: Option<String>,
    image_url: Option<String>,
    revision: i64,
    created_at: i64,
    updated_at: i64,
}

const TABLE: &str = "CREATE TABLE bare_dogs (id uuid PRIMARY KEY, breed text NOT NULL, name text, image_url text,
    revision bigint NOT NULL, created_at bigint NOT NULL, updated_at bigint NOT NULL)";
/// Ids that the requests can compute: numbers.
const ROWS: &str = "INSERT INTO bare_dogs SELECT lpad(to_hex(n), 32, '0')::uuid, 'husky', NULL, NULL, 1, 0, 0
    FROM generate_series(0, $1 - 1) n";

/// Creates the table with `rows` rows, and returns the routes.
pub(super) async fn router(dsn: &str, rows: u32) -> anyhow::Result<Router> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(dsn).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    sqlx::query(ROWS).bind(i64::from(rows)).execute(&pool).await?;
    sqlx::query("ANALYZE bare_dogs").execute(&pool).await?;
    let routes = Router::new().route("/dogs/{id}", get(find)).route("/dogs", post(insert).get(list));
    Ok(routes.with_state(Arc::new(pool)))
}

async fn find(State(pool): State<Arc<PgPool>>, Path(id): Path<Uuid>) -> Response {
    let dog = sqlx::query_as::<_, BareDog>("SELECT * FROM bare_dogs WHERE id = $1").bind(id);
    match dog.fetch_optional(&*pool).await {
        Ok(Some(dog)) => Json(dog).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The dogs after `after`.
#[derive(Debug, Deserialize)]
struct ListQuery {
    after: Uuid,
    limit: i64,
}

async fn list(State(pool): State<Arc<PgPool>>, Query(query): Query<ListQuery>) -> Response {
    let dogs = sqlx::query_as::<_, BareDog>("SELECT * FROM bare_dogs WHERE id > $1 ORDER BY id LIMIT $2");
    match dogs.bind(query.after).bind(query.limit).fetch_all(&*pool).await {
        Ok(dogs) => Json(dogs).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn insert(State(pool): State<Arc<PgPool>>) -> StatusCode {
    let insert = sqlx::query("INSERT INTO bare_dogs VALUES ($1, 'husky', NULL, NULL, 1, 0, 0)").bind(UuidV7.next());
    if insert.execute(&*pool).await.is_ok() { StatusCode::CREATED } else { StatusCode::INTERNAL_SERVER_ERROR }
}
