//! HTTP: a server component, the layers around its routes, and problem details for every error.
//!
//! A service builds an [`axum::Router`], wraps it with [`stack()`] and passes it to [`HttpServer`]. Its handlers
//! return errors as [`HttpError`] and read input through [`extract`]. [`etag`] has conditional requests, [`range`] ranges
//! of bytes, and [`sse`] streams of events.

pub mod asset;
pub mod body;
pub mod config;
pub mod contract;
pub mod etag;
pub mod extract;
pub mod link;
pub mod method;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod problem;
pub mod range;
pub mod routes;
pub mod server;
pub mod sse;
pub mod stack;
pub mod status;
pub mod sys;
pub mod urls;

pub use asset::{Asset, Page};
pub use config::{HttpConfig, RequestTimeout, SysConfig};
pub use etag::{ETag, EntityTags, IfMatch, IfNoneMatch};
pub use extract::{Json, Path, Query, header_text};
pub use kennel_net::RequestId;
pub use link::LinkHeader;
pub use metrics::HttpMetrics;
pub use page::{PageParams, PageResponse};
pub use problem::{FieldError, HttpError, Problem, Reply, failed};
pub use server::HttpServer;
pub use stack::{Stack, stack};
pub use urls::UrlBuilder;
