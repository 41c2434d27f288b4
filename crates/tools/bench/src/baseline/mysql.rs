//! axum and sqlx with MySQL, with one statement per request.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, http::StatusCode};
use kennel_core::{IdSource as _, UuidV7};
use serde::Serialize;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{AssertSqlSafe, MySqlPool};
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

/// Rows per statement that fills the table.
const ROWS_PER_INSERT: usize = 1_000;
const TABLE: &str = "CREATE TABLE bare_dogs (id BINARY(16) PRIMARY KEY, breed TEXT NOT NULL, name TEXT, image_url TEXT,
    revision BIGINT NOT NULL, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL)";

/// Creates the table with `rows` rows, whose ids the requests can compute, and returns the routes.
pub(super) async fn router(dsn: &str, rows: u32) -> anyhow::Result<Router> {
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).connect(dsn).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    let values: Vec<_> = (0..rows).map(|n| format!("(UNHEX('{n:032x}'), 'husky', NULL, NULL, 1, 0, 0)")).collect();
    for values in values.chunks(ROWS_PER_INSERT) {
        let insert = AssertSqlSafe(format!("INSERT INTO bare_dogs VALUES {}", values.join(", ")));
        sqlx::query(insert).persistent(false).execute(&pool).await?;
    }
    let routes = Router::new().route("/dogs/{id}", get(find)).route("/dogs", post(insert));
    Ok(routes.with_state(Arc::new(pool)))
}

async fn find(State(pool): State<Arc<MySqlPool>>, Path(id): Path<Uuid>) -> Response {
    let dog = sqlx::query_as::<_, BareDog>("SELECT * FROM bare_dogs WHERE id = ?").bind(id);
    match dog.fetch_optional(&*pool).await {
        Ok(Some(dog)) => Json(dog).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn insert(State(pool): State<Arc<MySqlPool>>) -> StatusCode {
    let insert = sqlx::query("INSERT INTO bare_dogs VALUES (?, 'husky', NULL, NULL, 1, 0, 0)").bind(UuidV7.next());
    if insert.execute(&*pool).await.is_ok() { StatusCode::CREATED } else { StatusCode::INTERNAL_SERVER_ERROR }
}
