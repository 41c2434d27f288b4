//! `dogs dlq`: events that a consumer group gave up on.

use std::process::ExitCode;

use anyhow::bail;
use dogs_storages::Stores;
use kennel_broker::Connected;
use kennel_core::{DeadLetter, DeadLetters, PageSize, RepoError};
use kennel_outbox::ReplayError;
use uuid::Uuid;

use super::args::Dlq;
use super::out::say;
use crate::backends::Backends;

/// Runs a command on dead letters, where they are: with the broker, or else with the store.
pub(super) async fn run(backends: &Backends, command: Dlq) -> anyhow::Result<ExitCode> {
    if let Some(Connected { broker, dead_letters: Some(letters) }) = backends.broker_of_dead_letters().await? {
        let kept = Kept { letters: &*letters, keeper: backends.broker_name(), stores: None };
        let result = on(&kept, backends, command).await;
        broker.close().await;
        return result;
    }
    let stores = backends.current_store().await?;
    let kept = Kept { letters: &*stores.dead_letters, keeper: backends.store_name(), stores: Some(&stores) };
    let result = on(&kept, backends, command).await;
    stores.close().await;
    result
}

/// The dead letters, and who has them.
struct Kept<'a> {
    letters: &'a dyn DeadLetters,
    keeper: String,
    /// The store, where it has them.
    stores: Option<&'a Stores>,
}

impl Kept<'_> {
    /// The error, led by the name of who has the dead letters: they are a store's to the error, whoever has them.
    fn named(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast() {
            Ok(error) => named(error, self.keeper.clone()),
            Err(error) => error,
        }
    }
}

fn named(error: RepoError, keeper: String) -> anyhow::Error {
    match error {
        RepoError::Unavailable(cause) => anyhow::Error::from_boxed(cause).context(format!("{keeper} is unavailable")),
        other => anyhow::Error::new(other).context(keeper),
    }
}

async fn on(kept: &Kept<'_>, backends: &Backends, command: Dlq) -> anyhow::Result<ExitCode> {
    match command {
        Dlq::List { limit } => list(kept.letters, limit).await.map_err(|error| kept.named(error)),
        Dlq::Show { id } => show(kept.letters, id).await.map_err(|error| kept.named(error)),
        Dlq::Replay { id } => done(replay(kept, backends, id).await?, id, "replayed"),
        Dlq::Drop { id } => {
            let was_there = kept.letters.discard(id).await;
            done(was_there.map_err(|error| named(error, kept.keeper.clone()))?, id, "dropped")
        }
    }
}

/// Receipts, which a replay forgets, are in the store also where the dead letters are with the broker.
async fn replay(kept: &Kept<'_>, backends: &Backends, id: Uuid) -> anyhow::Result<bool> {
    let opened = if kept.stores.is_none() { Some(backends.current_store().await?) } else { None };
    let Some(stores) = kept.stores.or(opened.as_ref()) else { bail!("no store is open") };
    let replayed = kennel_outbox::replay(kept.letters, &*stores.inbox, id, backends.clock.now()).await;
    if let Some(opened) = opened {
        opened.close().await;
    }
    replayed.map_err(|error| match error {
        ReplayError::DeadLetters(error) => named(error, kept.keeper.clone()),
        ReplayError::Inbox(error) => named(error, backends.store_name()),
    })
}

async fn list(letters: &dyn DeadLetters, limit: u32) -> anyhow::Result<ExitCode> {
    let limit = PageSize::new(limit).map_err(|error| anyhow::anyhow!("--limit: {error}"))?;
    for DeadLetter { event, group, attempts, reason, at } in letters.list(None, limit.get()).await? {
        let reason = one_line(&reason);
        say(format_args!("{}  {at}  {}  {group}  {attempts} tries  {reason}", event.id, event.name))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(letters: &dyn DeadLetters, id: Uuid) -> anyhow::Result<ExitCode> {
    let found = letters.find(id).await?;
    let Some(first) = found.first() else { bail!("no dead letter has the event id {id}") };
    let data: serde_json::Value = serde_json::from_slice(&first.event.data).unwrap_or_else(|_| {
        // What cannot be read is often why it is here.
        String::from_utf8_lossy(&first.event.data).into()
    });
    let event = serde_json::json!({
        "id": first.event.id,
        "type": first.event.name,
        "source": first.event.source,
        "topic": first.event.topic,
        "subject": first.event.key,
        "time": first.event.time,
        "traceparent": first.event.trace.as_ref().map(|trace| &trace.traceparent),
        "data": data,
        "failures": found.iter().map(|letter| serde_json::json!({
            "group": letter.group,
            "attempts": letter.attempts,
            "reason": letter.reason,
            "at": letter.at,
        })).collect::<Vec<_>>(),
    });
    say(format_args!("{event:#}"))?;
    Ok(ExitCode::SUCCESS)
}

fn done(was_there: bool, id: Uuid, what: &str) -> anyhow::Result<ExitCode> {
    if !was_there {
        bail!("no dead letter has the event id {id}");
    }
    say(format_args!("{id} {what}"))?;
    Ok(ExitCode::SUCCESS)
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}
