//! Servers without anything but the work: what a user would write first.

#[cfg(feature = "servers")]
mod clickhouse;
mod grpc;
#[cfg(feature = "servers")]
mod mysql;
#[cfg(feature = "servers")]
mod postgres;

use std::net::{Ipv4Addr, SocketAddr};

use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::routing::get;
use axum::{Router, http::StatusCode};
use clap::Subcommand;

/// A server to compare with.
#[derive(Debug, Clone, Subcommand)]
pub(crate) enum Baseline {
    /// axum that responds with the same JSON to every request.
    Axum {
        /// The JSON.
        body: String,
    },
    /// tonic that responds with the same message to every call of `GetDog`.
    Tonic {
        /// The bytes of the encoded `GetDogResponse`, as a JSON array.
        message: String,
    },
    /// axum and sqlx: one statement per request, on a table `bare_dogs` that it creates.
    #[cfg(feature = "servers")]
    Postgres {
        /// The database.
        dsn: String,
        /// The number of rows.
        rows: u32,
    },
    /// The same with MySQL.
    #[cfg(feature = "servers")]
    Mysql {
        /// The database.
        dsn: String,
        /// The number of rows.
        rows: u32,
    },
    /// The same with ClickHouse and its client.
    #[cfg(feature = "servers")]
    ClickHouse {
        /// The database.
        dsn: String,
        /// The number of rows.
        rows: u32,
    },
}

impl Baseline {
    pub(crate) fn arguments(&self) -> Vec<String> {
        match self {
            Self::Axum { body } => vec!["axum".to_owned(), body.clone()],
            Self::Tonic { message } => vec!["tonic".to_owned(), message.clone()],
            #[cfg(feature = "servers")]
            Self::Postgres { dsn, rows } => vec!["postgres".to_owned(), dsn.clone(), rows.to_string()],
            #[cfg(feature = "servers")]
            Self::Mysql { dsn, rows } => vec!["mysql".to_owned(), dsn.clone(), rows.to_string()],
            #[cfg(feature = "servers")]
            Self::ClickHouse { dsn, rows } => vec!["click-house".to_owned(), dsn.clone(), rows.to_string()],
        }
    }
}

/// Serves on a free port, and prints the address.
pub(crate) fn serve(baseline: Baseline) -> anyhow::Result<()> {
    tokio::runtime::Runtime::new()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let router = match baseline {
            Baseline::Axum { body } => axum_router(body),
            Baseline::Tonic { message } => {
                println!("{address}");
                return grpc::serve(listener, &message).await;
            }
            #[cfg(feature = "servers")]
            Baseline::Postgres { dsn, rows } => postgres::router(&dsn, rows).await?,
            #[cfg(feature = "servers")]
            Baseline::Mysql { dsn, rows } => mysql::router(&dsn, rows).await?,
            #[cfg(feature = "servers")]
            Baseline::ClickHouse { dsn, rows } => clickhouse::router(&dsn, rows).await?,
        };
        println!("{address}");
        Ok(axum::serve(listener, router.route("/ready", get(async || StatusCode::OK))).await?)
    })
}

/// Connections of a pool, as many as the service has.
#[cfg(feature = "servers")]
const CONNECTIONS: u32 = 16;

fn axum_router(body: String) -> Router {
    let headers = [(CONTENT_TYPE, "application/json"), (ETAG, "\"1\"")];
    let respond = get(async move || (headers, body.clone()));
    Router::new().route("/api/v1/dogs/{id}", respond.clone()).route("/api/v1/gifs/search", respond)
}
