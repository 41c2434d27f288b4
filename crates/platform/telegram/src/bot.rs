//! A client of the Bot API.

use std::fmt;
use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use kennel_client::Client;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use crate::{Message, TelegramConfig, TelegramError, Update, User};

/// Statuses with which the Bot API explains in the body why it does not do what was asked.
const EXPLAINED: [StatusCode; 7] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::TOO_MANY_REQUESTS,
];
/// Methods that every bot has.
const KNOWN: [&str; 2] = ["getMe", "getUpdates"];
/// Maximum length of a message, in UTF-16 units.
const MAX_TEXT: usize = 4_096;
/// How long a call may take in addition to the time that it waits for updates.
const MARGIN: Duration = Duration::from_secs(10);
/// Maximum size of a response: 100 updates of a few kilobytes.
const MAX_BYTES: u64 = 8 * 1024 * 1024;
/// How long to wait if Telegram does not say it.
const DEFAULT_PAUSE: Duration = Duration::from_secs(1);

/// Calls the Bot API. Clones share connections.
#[derive(Clone)]
pub struct Bot {
    client: Client,
    /// Ends with the token, so it must not be shown.
    base: Url,
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bot").field("host", &self.base.host_str()).finish_non_exhaustive()
    }
}

/// The envelope of every response.
#[derive(Deserialize)]
struct Answer {
    ok: bool,
    #[serde(default)]
    result: Value,
    #[serde(default)]
    error_code: u16,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    retry_after: Option<u64>,
}

impl Bot {
    /// The bot with the token of `config`. The client has the [settings](TelegramConfig::client) of `config`, too.
    pub fn new(client: Client, config: &TelegramConfig) -> Result<Self, TelegramError> {
        let token = config.telegram_token.as_ref().ok_or(TelegramError::Unauthorized)?;
        let mut base = Url::parse(&config.telegram_url).map_err(|error| TelegramError::Invalid(error.into()))?;
        match base.path_segments_mut() {
            Ok(mut segments) => {
                segments.pop_if_empty().push(&format!("bot{}", token.expose()));
            }
            Err(()) => return Err(TelegramError::Invalid("the url has no path".into())),
        }
        Ok(Self { client, base })
    }

    /// Calls a method that this type has no function for, such as `sendPhoto`.
    pub async fn call<T: DeserializeOwned>(&self, method: &str, parameters: &Value) -> Result<T, TelegramError> {
        self.call_within(method, parameters, MARGIN).await
    }

    async fn call_within<T: DeserializeOwned>(
        &self,
        method: &str,
        parameters: &Value,
        timeout: Duration,
    ) -> Result<T, TelegramError> {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(method);
        }
        let request = self.client.request(Method::POST, &url).timeout(timeout).max_bytes(MAX_BYTES);
        let request =
            request.header(CONTENT_TYPE, HeaderValue::from_static("application/json")).body(parameters.to_string());
        let request = EXPLAINED.into_iter().fold(request, kennel_client::RequestBuilder::accept);
        let answer: Answer = request.json().await?;
        if answer.ok {
            let result = T::deserialize(answer.result);
            return result.map_err(|error| kennel_client::ClientError::Malformed(error.into()).into());
        }
        Err(match answer.error_code {
            401 => TelegramError::Unauthorized,
            // The path has the token, so an unknown one is 404, but so is an unknown method.
            404 if KNOWN.contains(&method) => TelegramError::Unauthorized,
            409 => TelegramError::Conflict(answer.description),
            429 => {
                let pause = answer.parameters.retry_after.map_or(DEFAULT_PAUSE, Duration::from_secs);
                TelegramError::TooManyRequests(pause)
            }
            code => TelegramError::Refused { code, description: answer.description },
        })
    }

    /// The bot itself.
    pub async fn me(&self) -> Result<User, TelegramError> {
        self.call("getMe", &json!({})).await
    }

    /// The updates from `offset` on, at most 100; waits for the first one. Confirms those before `offset`: Telegram
    /// deletes them.
    pub async fn updates(&self, offset: i64, wait: Duration) -> Result<Vec<Update>, TelegramError> {
        let parameters = json!({
            "offset": offset,
            "timeout": wait.as_secs(),
            "allowed_updates": ["message", "edited_message", "callback_query"],
        });
        let updates: Vec<Value> = self.call_within("getUpdates", &parameters, wait + MARGIN).await?;
        Ok(updates.iter().filter_map(Update::read).collect())
    }

    /// Sends a text without formatting; only the start of it if it is longer than a message, 4,096 UTF-16 units.
    pub async fn send_message(&self, chat: i64, text: &str) -> Result<Message, TelegramError> {
        self.call("sendMessage", &json!({ "chat_id": chat, "text": start_of(text) })).await
    }

    /// Ends the waiting animation of a button, with a short notice if the text is not empty.
    pub async fn answer_callback(&self, query: &str, text: &str) -> Result<(), TelegramError> {
        let parameters = json!({ "callback_query_id": query, "text": text });
        self.call("answerCallbackQuery", &parameters).await.map(|_: bool| ())
    }
}

/// What fits into a message.
fn start_of(text: &str) -> &str {
    let mut units = 0;
    let too_long = text.char_indices().find(|(_, char)| {
        units += char.len_utf16();
        units > MAX_TEXT
    });
    too_long.map_or(text, |(end, _)| &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_where_telegram_counts_the_limit() {
        for (text, expected) in [("a", 4_096), ("\u{e9}", 4_096), ("\u{1f415}", 2_048)] {
            assert_eq!(start_of(&text.repeat(4_096)), text.repeat(expected), "{text}");
        }
        assert_eq!(start_of(&format!("{}\u{1f415}", "a".repeat(4_095))), "a".repeat(4_095));
        assert_eq!(start_of("short"), "short");
    }
}
