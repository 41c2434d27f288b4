//! `dlq`: dead letters, the events that a consumer group could not handle.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::bail;
use async_trait::async_trait;
use clap::Subcommand;
use kennel_broker::Connected;
use kennel_core::event::JsonData;
use kennel_core::{DeadLetter, DeadLetters, PageSize, RepoError, Timestamp};
use kennel_outbox::ReplayError;
use uuid::Uuid;

use crate::output::print_line;
use crate::{Context, Service};

/// Commands for dead letters.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum Dlq {
    /// List dead letters.
    List {
        /// Maximum number of dead letters to print, up to 1000.
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Show a dead letter with its event.
    Show {
        /// The event's id.
        id: Uuid,
    },
    /// Publish the event of a dead letter again, and delete the dead letter.
    Replay {
        /// The event's id.
        id: Uuid,
    },
    /// Delete a dead letter.
    Drop {
        /// The event's id.
        id: Uuid,
    },
}

/// Runs a command on the dead letters of the broker, or of the store if the broker does not store them.
pub(super) async fn run<S: Service>(cx: &Context<S>, command: Dlq) -> anyhow::Result<ExitCode> {
    if let Some(Connected { broker, dead_letters: Some(dead_letters) }) = cx.broker_with_dead_letters().await? {
        let own = Own { service: S::NAME, inner: dead_letters };
        let source = DeadLetterSource { dead_letters: &own, name: cx.broker_name() };
        let result = async {
            if let Dlq::Replay { id } | Dlq::Drop { id } = command {
                own.check(id).await?;
            }
            execute(&source, cx, command).await
        };
        let result = result.await.map_err(|error| source.named(error));
        broker.close().await;
        return result;
    }
    let source = DeadLetterSource { dead_letters: &*cx.database().await?.dead_letters, name: cx.store_name() };
    execute(&source, cx, command).await
}

/// The dead letters of a service's consumer groups, in a broker that all services share. A group is named
/// `<service>.<purpose>`.
struct Own {
    service: &'static str,
    inner: Arc<dyn DeadLetters>,
}

impl Own {
    fn has(&self, dead_letter: &DeadLetter) -> bool {
        dead_letter.group.strip_prefix(self.service).is_some_and(|rest| rest.starts_with('.'))
    }

    /// Fails when another service's group gave up on the event: the receipt that a replay deletes is in its database.
    async fn check(&self, event: Uuid) -> Result<(), RepoError> {
        match self.inner.find(event).await?.iter().find(|dead_letter| !self.has(dead_letter)) {
            None => Ok(()),
            Some(other) => Err(RepoError::Backend(ForeignGroup(other.group.clone()).into())),
        }
    }
}

/// The consumer group is another service's.
#[derive(Debug, thiserror::Error)]
#[error("the consumer group `{0}` belongs to another service; use the `dlq` command of that service")]
struct ForeignGroup(String);

#[async_trait]
impl DeadLetters for Own {
    async fn list(&self, mut after: Option<Uuid>, limit: u32) -> Result<Vec<DeadLetter>, RepoError> {
        let mut own = Vec::new();
        while own.len() < limit as usize {
            let page = self.inner.list(after, limit).await?;
            let Some(last) = page.last().map(|dead_letter| dead_letter.event.id) else { break };
            own.extend(page.into_iter().filter(|dead_letter| self.has(dead_letter)));
            after = Some(last);
        }
        own.truncate(limit as usize);
        Ok(own)
    }

    async fn find(&self, event: Uuid) -> Result<Vec<DeadLetter>, RepoError> {
        Ok(self.inner.find(event).await?.into_iter().filter(|dead_letter| self.has(dead_letter)).collect())
    }

    async fn replay(&self, event: Uuid, now: Timestamp) -> Result<bool, RepoError> {
        self.inner.replay(event, now).await
    }

    async fn discard(&self, event: Uuid) -> Result<bool, RepoError> {
        self.inner.discard(event).await
    }
}

/// The dead letters, and the backend that stores them.
struct DeadLetterSource<'a> {
    dead_letters: &'a dyn DeadLetters,
    /// The name of the backend in errors.
    name: String,
}

impl DeadLetterSource<'_> {
    /// Adds the name of the backend to the error, which itself always blames a store.
    fn named(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast() {
            Ok(error) => named(error, self.name.clone()),
            Err(error) => error,
        }
    }
}

fn named(error: RepoError, backend: String) -> anyhow::Error {
    match error {
        RepoError::Unavailable(cause) => anyhow::Error::from_boxed(cause).context(format!("{backend} is unavailable")),
        other => anyhow::Error::new(other).context(backend),
    }
}

async fn execute<S: Service>(source: &DeadLetterSource<'_>, cx: &Context<S>, command: Dlq) -> anyhow::Result<ExitCode> {
    match command {
        Dlq::List { limit } => list(source.dead_letters, limit).await.map_err(|error| source.named(error)),
        Dlq::Show { id } => show(source.dead_letters, id).await.map_err(|error| source.named(error)),
        Dlq::Replay { id } => print_outcome(replay(source, cx, id).await?, id, "replayed"),
        Dlq::Drop { id } => {
            let existed = source.dead_letters.discard(id).await;
            print_outcome(existed.map_err(|error| named(error, source.name.clone()))?, id, "dropped")
        }
    }
}

/// Replays a dead letter. Needs the store even when the broker stores the dead letters: a replay deletes receipts.
async fn replay<S: Service>(source: &DeadLetterSource<'_>, cx: &Context<S>, id: Uuid) -> anyhow::Result<bool> {
    let inbox = &*cx.database().await?.inbox;
    let replayed = kennel_outbox::replay(source.dead_letters, inbox, id, cx.clock().now()).await;
    replayed.map_err(|error| match error {
        ReplayError::DeadLetters(error) => named(error, source.name.clone()),
        ReplayError::Inbox(error) => named(error, cx.store_name()),
    })
}

async fn list(dead_letters: &dyn DeadLetters, limit: u32) -> anyhow::Result<ExitCode> {
    let limit = PageSize::new(limit).map_err(|error| anyhow::anyhow!("--limit: {error}"))?;
    for DeadLetter { event, group, attempts, reason, at } in dead_letters.list(None, limit.get()).await? {
        let reason = one_line(&reason);
        print_line(format_args!("{}  {at}  {}  {group}  {attempts} attempts  {reason}", event.id, event.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(dead_letters: &dyn DeadLetters, id: Uuid) -> anyhow::Result<ExitCode> {
    let found = dead_letters.find(id).await?;
    let Some(first) = found.first() else { bail!("no dead letter has the event id {id}") };
    let mut event = serde_json::json!({
        "id": first.event.id,
        "type": first.event.name,
        "source": first.event.source,
        "topic": first.event.topic,
        "subject": first.event.key,
        "time": first.event.time,
        "traceparent": first.event.trace.as_ref().map(|trace| &trace.traceparent),
        "datacontenttype": first.event.content_type,
        "failures": found.iter().map(|dead_letter| serde_json::json!({
            "group": dead_letter.group,
            "attempts": dead_letter.attempts,
            "reason": dead_letter.reason,
            "at": dead_letter.at,
        })).collect::<Vec<_>>(),
    });
    // Undecodable data is a common reason for a dead letter.
    let (name, data) = match first.event.json_data() {
        JsonData::Data(data) => ("data", data),
        JsonData::DataBase64(data) => ("data_base64", data.into()),
    };
    event[name] = data;
    print_line(format_args!("{event:#}"))?;
    Ok(ExitCode::SUCCESS)
}

fn print_outcome(existed: bool, id: Uuid, outcome: &str) -> anyhow::Result<ExitCode> {
    if !existed {
        bail!("no dead letter has the event id {id}");
    }
    print_line(format_args!("{id} {outcome}"))?;
    Ok(ExitCode::SUCCESS)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
