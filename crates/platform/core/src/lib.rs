//! Contracts and plain types shared by every crate of the workspace.
//!
//! This crate does no I/O. It defines the error kinds and their status codes in each protocol, time and ids, pages, the caller of a request, the
//! event envelope, the ports that adapters implement, the names that select an adapter, and the parsing of untrusted
//! JSON. It contains the algorithms that several crates need: queues with per-key order, and retry delays.

pub mod backend;
pub mod backoff;
pub mod broker;
pub mod cache;
pub mod codec;
pub mod contract;
pub mod error;
pub mod event;
pub mod id;
pub mod json;
pub mod key_queues;
pub mod objects;
pub mod outbox;
pub mod page;
pub mod principal;
pub mod tasks;
pub mod time;

pub use backend::{BackendError, BackendKind};
pub use backoff::Backoff;
pub use broker::{Delivery, EventFilter, Group, Publisher, Settle, Subscriber, Subscription};
pub use cache::Cache;
pub use codec::{Codec, CodecError};
pub use contract::{Failure, Validate, Violation, Violations};
pub use error::{BoxError, ErrorKind, RepoError, ServiceError};
pub use event::{Event, EventType, TraceContext};
pub use id::{IdSource, UuidV7};
pub use key_queues::{Claim, KeyQueues};
pub use objects::{ObjectKey, ObjectStore};
pub use outbox::{DeadLetter, DeadLetterSink, DeadLetters, Inbox, Outbox, Receipt};
pub use page::{Cursor, CursorKey, Order, Page, PageSize};
pub use principal::Principal;
pub use tasks::TaskQueue;
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
