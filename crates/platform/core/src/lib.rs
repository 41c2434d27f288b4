//! Contracts and plain types shared by every crate of the workspace.
//!
//! This crate does no I/O. It defines the error kinds and their status codes in each protocol, time and ids, pages, the
//! event envelope, the ports that adapters implement, the names that select an adapter, and the parsing of untrusted
//! JSON.

pub mod backend;
pub mod broker;
pub mod cache;
pub mod error;
pub mod event;
pub mod id;
pub mod json;
pub mod objects;
pub mod outbox;
pub mod page;
pub mod time;

pub use backend::{BackendError, BackendKind};
pub use broker::{Delivery, Group, Publisher, Settle, Subscriber, Subscription};
pub use cache::Cache;
pub use error::{BoxError, ErrorKind, RepoError};
pub use event::{Event, EventType, TraceContext};
pub use id::{IdSource, UuidV7};
pub use objects::{ObjectKey, ObjectStore};
pub use outbox::{DeadLetter, DeadLetterSink, DeadLetters, Inbox, Outbox, Receipt};
pub use page::{Cursor, Order, Page, PageSize};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
