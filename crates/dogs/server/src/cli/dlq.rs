//! `dogs dlq`: events that a consumer group gave up on.

use std::process::ExitCode;

use anyhow::bail;
use kennel_broker::Connected;
use kennel_core::{Clock, DeadLetter, DeadLetters, PageSize, RepoError};
use uuid::Uuid;

use super::args::Dlq;
use super::out::say;
use crate::backends::Backends;

/// Runs a command on dead letters, where they are: with the broker, or else with the store.
pub(super) async fn run(backends: &Backends, command: Dlq) -> anyhow::Result<ExitCode> {
    if let Some(Connected { broker, dead_letters: Some(letters) }) = backends.broker_of_dead_letters().await? {
        let result = on(&*letters, &*backends.clock, command).await;
        broker.close().await;
        return result.map_err(|error| named(error, backends.broker_name()));
    }
    let stores = backends.current_store().await?;
    let result = on(&*stores.dead_letters, &*backends.clock, command).await;
    stores.close().await;
    result.map_err(|error| named(error, backends.store_name()))
}

/// The error, led by the name of who has the dead letters: they are a store's to the error, whoever has them.
fn named(error: anyhow::Error, keeper: String) -> anyhow::Error {
    match error.downcast() {
        Ok(RepoError::Unavailable(cause)) => {
            anyhow::Error::from_boxed(cause).context(format!("{keeper} is unavailable"))
        }
        Ok(other) => anyhow::Error::new(other).context(keeper),
        Err(error) => error,
    }
}

async fn on(letters: &dyn DeadLetters, clock: &dyn Clock, command: Dlq) -> anyhow::Result<ExitCode> {
    match command {
        Dlq::List { limit } => list(letters, limit).await,
        Dlq::Show { id } => show(letters, id).await,
        Dlq::Replay { id } => done(letters.replay(id, clock.now()).await?, id, "replayed"),
        Dlq::Drop { id } => done(letters.discard(id).await?, id, "dropped"),
    }
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
