//! A fake Bot API on a free port of this machine, for tests of bots.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router, routing};
use kennel_client::mock::MockServer;
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout_at};

/// The number of the bot.
const BOT: i64 = 1_000;

/// A message that the bot sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The chat.
    pub chat: i64,
    /// The text.
    pub text: String,
}

/// The fake. It checks the token, deletes confirmed updates, lets one process poll, and answers `getMe`, `getUpdates`,
/// `sendMessage` and `answerCallbackQuery`.
pub struct FakeBotApi {
    shared: Arc<Shared>,
    server: MockServer,
}

struct Shared {
    token: String,
    state: Mutex<BotState>,
    changed: Notify,
}

#[derive(Default)]
struct BotState {
    updates: VecDeque<Value>,
    last_update: i64,
    last_message: i64,
    sent: Vec<Sent>,
    /// Answers for the next calls of a method.
    failures: VecDeque<(String, u16, Value)>,
    polls: u32,
}

impl FakeBotApi {
    /// Starts it for a bot with this token.
    pub async fn start(token: &str) -> io::Result<Self> {
        let shared = Arc::new(Shared { token: token.to_owned(), state: Mutex::default(), changed: Notify::new() });
        let routes = Router::new().route("/{bot}/{method}", routing::post(answer)).with_state(Arc::clone(&shared));
        Ok(Self { shared, server: MockServer::start(routes).await? })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Somebody writes a text in a chat. Returns the number of the update.
    pub fn write(&self, chat: i64, text: &str) -> i64 {
        self.push(&json!({ "message": {
            "message_id": 0, "date": 0, "chat": { "id": chat, "type": "private" },
            "from": { "id": chat, "is_bot": false, "first_name": "Ada" }, "text": text,
        } }))
    }

    /// Somebody presses a button with this data below a message in a chat. Returns the number of the update.
    pub fn press(&self, chat: i64, data: &str) -> i64 {
        self.push(&json!({ "callback_query": {
            "id": "1", "from": { "id": chat, "is_bot": false, "first_name": "Ada" }, "data": data,
            "message": { "message_id": 0, "date": 0, "chat": { "id": chat, "type": "private" } },
        } }))
    }

    /// Adds an update with a new number, which it returns.
    pub fn push(&self, update: &Value) -> i64 {
        let mut state = self.shared.state();
        state.last_update += 1;
        let id = state.last_update;
        let mut update = update.clone();
        update["update_id"] = id.into();
        state.updates.push_back(update);
        self.shared.changed.notify_waiters();
        id
    }

    /// The next call of a method gets this code instead; 429 says to wait no time.
    pub fn fail(&self, method: &str, code: u16) {
        let parameters = if code == 429 { json!({ "retry_after": 0 }) } else { json!({}) };
        self.shared.state().failures.push_back((method.to_owned(), code, parameters));
    }

    /// The numbers of the updates that are not confirmed.
    pub fn pending(&self) -> Vec<i64> {
        self.shared.state().updates.iter().filter_map(|update| update["update_id"].as_i64()).collect()
    }

    /// What the bot has sent.
    pub fn sent(&self) -> Vec<Sent> {
        self.shared.state().sent.clone()
    }

    /// Waits until the bot has sent this number of messages, and returns them. After `limit`, those that it has sent.
    pub async fn sent_messages(&self, count: usize, limit: Duration) -> Vec<Sent> {
        let deadline = Instant::now() + limit;
        loop {
            let changed = self.shared.changed.notified();
            let sent = self.sent();
            if sent.len() >= count || timeout_at(deadline, changed).await.is_err() {
                return sent;
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, BotState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the updates from `offset` on. Every new poll ends the one before it, as Telegram does.
    async fn poll(&self, offset: i64, wait: Duration) -> Response {
        let deadline = Instant::now() + wait;
        let own = {
            let mut state = self.state();
            state.updates.retain(|update| update["update_id"].as_i64().is_some_and(|id| id >= offset));
            state.polls += 1;
            state.polls
        };
        self.changed.notify_waiters();
        loop {
            let changed = self.changed.notified();
            {
                let state = self.state();
                if state.polls != own {
                    return refused(409, "Conflict: terminated by other getUpdates request", &json!({}));
                }
                if !state.updates.is_empty() {
                    return done(&json!(state.updates));
                }
            }
            tokio::select! {
                () = changed => {}
                () = sleep_until(deadline) => return done(&json!([])),
            }
        }
    }

    fn send(&self, parameters: &Value) -> Response {
        let (Some(chat), Some(text)) = (parameters["chat_id"].as_i64(), parameters["text"].as_str()) else {
            return refused(400, "Bad Request: chat_id or text is missing", &json!({}));
        };
        if text.is_empty() {
            return refused(400, "Bad Request: message text is empty", &json!({}));
        }
        let mut state = self.state();
        state.last_message += 1;
        state.sent.push(Sent { chat, text: text.to_owned() });
        let message = json!({ "message_id": state.last_message, "date": 0, "chat": { "id": chat, "type": "private" },
            "from": { "id": BOT, "is_bot": true, "first_name": "Bot" }, "text": text });
        drop(state);
        self.changed.notify_waiters();
        done(&message)
    }
}

fn done(result: &Value) -> Response {
    Json(json!({ "ok": true, "result": result })).into_response()
}

fn refused(code: u16, description: &str, parameters: &Value) -> Response {
    let status = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "ok": false, "error_code": code, "description": description, "parameters": parameters });
    (status, Json(body)).into_response()
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    Path((bot, method)): Path<(String, String)>,
    Json(parameters): Json<Value>,
) -> Response {
    if bot.strip_prefix("bot") != Some(&*shared.token) {
        return refused(401, "Unauthorized", &json!({}));
    }
    let failure = {
        let mut state = shared.state();
        let found = state.failures.iter().position(|(failing, ..)| *failing == method);
        found.and_then(|index| state.failures.remove(index))
    };
    if let Some((_, code, parameters)) = failure {
        return refused(code, "a failure of the fake", &parameters);
    }
    match &*method {
        "getMe" => done(&json!({ "id": BOT, "is_bot": true, "first_name": "Bot", "username": "a_bot" })),
        "getUpdates" => {
            let wait = Duration::from_secs(parameters["timeout"].as_u64().unwrap_or_default());
            shared.poll(parameters["offset"].as_i64().unwrap_or_default(), wait).await
        }
        "sendMessage" => shared.send(&parameters),
        "answerCallbackQuery" => done(&json!(true)),
        _ => refused(404, "Not Found", &json!({})),
    }
}
