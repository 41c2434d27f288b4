//! Servers without anything but the work: what a user would write first.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router, http::StatusCode};
use clap::Subcommand;
use serde::Serialize;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use uuid::Uuid;

/// Connections of the pool, as many as the service has.
const CONNECTIONS: u32 = 16;

/// A server to compare with.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Baseline {
    /// axum that responds with the same JSON to every request.
    Axum {
        /// The JSON.
        body: String,
    },
    /// axum and sqlx: one statement per request, on a table `bare_dogs` that it creates.
    Postgres {
        /// The database.
        dsn: String,
        /// The number of rows.
        rows: i64,
    },
}

impl Baseline {
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Axum { body } => vec!["axum".to_owned(), body.clone()],
            Self::Postgres { dsn, rows } => vec!["postgres".to_owned(), dsn.clone(), rows.to_string()],
        }
    }
}

/// Serves on a free port, and prints the address.
pub(crate) fn serve(baseline: Baseline) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let router = match baseline {
            Baseline::Axum { body } => axum_router(body),
            Baseline::Postgres { dsn, rows } => postgres_router(&dsn, rows).await?,
        };
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        println!("{}", listener.local_addr()?);
        Ok(axum::serve(listener, router.route("/ready", get(async || StatusCode::OK))).await?)
    })
}

fn axum_router(body: String) -> Router {
    let headers = [(CONTENT_TYPE, "application/json"), (ETAG, "\"1\"")];
    Router::new().route("/api/v1/dogs/{id}", get(async move || (headers, body.clone())))
}

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

async fn postgres_router(dsn: &str, rows: i64) -> anyhow::Result<Router> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).connect(dsn).await?;
    sqlx::query(TABLE).execute(&pool).await?;
    sqlx::query(ROWS).bind(rows).execute(&pool).await?;
    sqlx::query("ANALYZE bare_dogs").execute(&pool).await?;
    let routes = Router::new().route("/dogs/{id}", get(find)).route("/dogs", post(insert));
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

async fn insert(State(pool): State<Arc<PgPool>>) -> StatusCode {
    let insert = sqlx::query("INSERT INTO bare_dogs VALUES (gen_random_uuid(), 'husky', NULL, NULL, 1, 0, 0)");
    if insert.execute(&*pool).await.is_ok() { StatusCode::CREATED } else { StatusCode::INTERNAL_SERVER_ERROR }
}
