//! Telegram bots.
//!
//! - [`Bot`] calls the Bot API. Its token is in the path of every request, so it is in no log, span or error.
//! - [`Poller`] is a component that receives updates by long polling, and hands them to an [`UpdateHandler`] in order.
//! - `mock` is a fake Bot API for tests.

mod bot;
mod config;
mod error;
#[cfg(any(test, feature = "mock"))]
pub mod mock;
mod poller;
mod types;

pub use bot::Bot;
pub use config::TelegramConfig;
pub use error::TelegramError;
pub use poller::{Poller, UpdateError, UpdateHandler};
pub use types::{CallbackQuery, Chat, Message, Update, User};
