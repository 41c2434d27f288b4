//! axum and ClickHouse's client, with one statement per request, whose JSON is the response.

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use clickhouse::Client;
use url::Url;

const TABLE: &str =
    "CREATE TABLE bare_dogs (id String, breed String, name Nullable(String), image_url Nullable(String),
    revision Int64, created_at Int64, updated_at Int64) ENGINE = MergeTree ORDER BY id";

/// Creates the table with `rows` rows, whose ids the requests can compute, and returns the routes.
pub(super) async fn router(dsn: &str, rows: u32) -> anyhow::Result<Router> {
    let dsn = Url::parse(dsn)?;
    let server = format!("http://{}:{}/", dsn.host_str().context("a host")?, dsn.port().unwrap_or(8123));
    let client = Client::default()
        .with_url(server)
        .with_user(dsn.username())
        .with_password(dsn.password().unwrap_or_default())
        .with_database(dsn.path().trim_start_matches('/'));
    client.query(TABLE).execute().await?;
    let insert = "INSERT INTO bare_dogs SELECT leftPad(lower(hex(number)), 32, '0'), 'husky', NULL, NULL, 1, 0, 0
        FROM numbers(?)";
    client.query(insert).bind(rows).execute().await?;
    Ok(Router::new().route("/dogs/{id}", get(find)).with_state(client))
}

async fn find(State(client): State<Client>, Path(id): Path<String>) -> Response {
    let select = client.query("SELECT * FROM bare_dogs WHERE id = ?").bind(id);
    let Ok(mut rows) = select.fetch_bytes("JSONEachRow") else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    match rows.collect().await {
        Ok(dog) if dog.is_empty() => StatusCode::NOT_FOUND.into_response(),
        Ok(dog) => ([(CONTENT_TYPE, "application/json")], dog).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
