//! Contracts and plain types shared by every crate of the workspace.
//!
//! This crate does no I/O. It holds what the others agree on: the kinds of error and how each protocol
//! shows them, time and ids, pages, the event envelope, the ports that adapters implement and how one of them is named, and
//! how JSON from outside is read.

pub mod broker;
pub mod cache;
pub mod error;
pub mod event;
pub mod id;
pub mod json;
pub mod objects;
pub mod outbox;
pub mod page;
pub mod part;
pub mod time;

pub use broker::{Delivery, Group, Publisher, Settle, Subscriber, Subscription};
pub use cache::Cache;
pub use error::{BoxError, ErrorKind, RepoError};
pub use event::{Event, EventType, TraceContext};
pub use id::{IdSource, UuidV7};
pub use objects::{ObjectKey, ObjectStore};
pub use outbox::{DeadLetter, DeadLetterSink, DeadLetters, Inbox, Outbox, Receipt};
pub use page::{Cursor, Order, Page, PageSize};
pub use part::{Part, PartError};
pub use time::{Clock, ManualClock, SystemClock, Timestamp};
