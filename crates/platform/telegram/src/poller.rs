//! Receives updates by long polling.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_app::{Component, Progress, Stop};
use kennel_core::{Backoff, BoxError, ErrorKind, ServiceError};
use tokio::time::{sleep, timeout};

use crate::{Bot, TelegramError, Update};

/// How long Telegram waits for an update before it answers with none.
const POLL: Duration = Duration::from_secs(25);
/// How often the handler gets an update that it fails with.
const MAX_ATTEMPTS: u32 = 5;
/// How long a stop waits for the confirmation of the last updates.
const CONFIRM_LIMIT: Duration = Duration::from_secs(2);
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(500), Duration::from_secs(30));

/// Why an update was not handled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// A later attempt may succeed. There are up to five; then the update is skipped.
    #[error("update cannot be handled now")]
    Retry(#[source] BoxError),
    /// Something that every update needs does not respond. The attempt does not count: an outage of any length loses no update
    /// that Telegram still has, which is for 24 hours.
    #[error("a dependency is unavailable")]
    Unavailable(#[source] BoxError),
    /// No attempt can succeed, as with a user who has blocked the bot. The update is skipped.
    #[error("update cannot be handled")]
    Permanent(#[source] BoxError),
}

impl<E: ServiceError> From<E> for UpdateError {
    fn from(error: E) -> Self {
        match error.kind() {
            kind if kind.is_transient() => Self::Unavailable(error.into()),
            ErrorKind::Internal => Self::Retry(error.into()),
            _ => Self::Permanent(error.into()),
        }
    }
}

/// Handles updates, one after another.
#[async_trait]
pub trait UpdateHandler: Send + Sync + 'static {
    /// Handles an update. After an error and after a crash it is handled again.
    async fn handle(&self, update: &Update) -> Result<(), UpdateError>;
}

/// A component that polls for updates, and hands them to a handler in order. Only one process should poll with a token:
/// two take the poll from each other, and both can receive an update.
pub struct Poller {
    name: &'static str,
    bot: Bot,
    handler: Arc<dyn UpdateHandler>,
    progress: Progress,
    /// The first update that is not handled.
    offset: i64,
}

impl Poller {
    /// A component called `name`.
    pub fn new(name: &'static str, bot: Bot, handler: Arc<dyn UpdateHandler>) -> Self {
        Self { name, bot, handler, progress: Progress::default(), offset: 0 }
    }

    /// Whether it receives updates, for the health of the process.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Handles updates until a stop is requested.
    async fn poll(&mut self, stop: &Stop) -> Result<(), TelegramError> {
        let mut failures = 0;
        loop {
            let polled = tokio::select! {
                () = stop.requested() => return Ok(()),
                polled = self.bot.updates(self.offset, POLL) => polled,
            };
            let error = match polled {
                Ok(updates) => {
                    failures = 0;
                    self.progress.advanced();
                    for update in updates {
                        if stop.is_requested() || !self.handle(&update, stop).await {
                            return Ok(());
                        }
                        self.offset = update.id + 1;
                    }
                    continue;
                }
                Err(TelegramError::Unauthorized) => return Err(TelegramError::Unauthorized),
                Err(error) => error,
            };
            tracing::warn!(component = self.name, error = &error as &dyn Error, "cannot receive updates");
            self.progress.stalled(if matches!(error, TelegramError::Conflict(_)) {
                "another process polls with the token, or the bot has a webhook"
            } else {
                "telegram is unreachable"
            });
            failures += 1;
            let pause = error.retry_after().unwrap_or_else(|| BACKOFF.delay(failures));
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = sleep(pause) => {}
            }
        }
    }

    /// Hands an update to the handler until it succeeds or is skipped. Returns false if a stop ends a pause: the next process
    /// handles it.
    async fn handle(&self, update: &Update, stop: &Stop) -> bool {
        let (mut attempts, mut failures) = (0, 0);
        while let Err(error) = self.handler.handle(update).await {
            failures += 1;
            attempts += u32::from(matches!(error, UpdateError::Retry(_)));
            let is_skipped = matches!(error, UpdateError::Permanent(_)) || attempts == MAX_ATTEMPTS;
            let pause = pause_of(&error).unwrap_or_else(|| BACKOFF.delay(failures));
            self.report(update, failures, is_skipped, &error);
            if is_skipped {
                return true;
            }
            if matches!(error, UpdateError::Unavailable(_)) {
                self.progress.stalled("a dependency is unavailable");
            }
            tokio::select! {
                () = stop.requested() => return false,
                () = sleep(pause) => {}
            }
        }
        self.progress.advanced();
        true
    }

    fn report(&self, update: &Update, failures: u32, is_skipped: bool, error: &UpdateError) {
        let (component, id, error) = (self.name, update.id, error as &dyn Error);
        if is_skipped {
            tracing::error!(component, update = id, failures, error, "update skipped");
        } else {
            tracing::warn!(component, update = id, failures, error, "update failed");
        }
    }

    /// Confirms what is handled, so that a restart does not handle it again.
    async fn confirm(&self) {
        if self.offset > 0 {
            let confirmed = timeout(CONFIRM_LIMIT, self.bot.updates(self.offset, Duration::ZERO)).await;
            if !matches!(confirmed, Ok(Ok(_))) {
                tracing::warn!(component = self.name, "the last updates are not confirmed: they may be handled again");
            }
        }
    }
}

/// When Telegram wants the next call, if that is the error.
fn pause_of(error: &UpdateError) -> Option<Duration> {
    error.source()?.downcast_ref::<TelegramError>()?.retry_after()
}

#[async_trait]
impl Component for Poller {
    fn name(&self) -> &'static str {
        self.name
    }

    async fn run(mut self: Box<Self>, stop: Stop) -> Result<(), BoxError> {
        tokio::select! {
            polled = self.poll(&stop) => polled?,
            () = stop.aborted() => return Ok(()),
        }
        self.confirm().await;
        Ok(())
    }
}

#[cfg(test)]
#[path = "poller_tests.rs"]
mod tests;
