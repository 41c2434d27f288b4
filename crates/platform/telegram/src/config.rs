//! Settings of a bot.

use kennel_client::ClientConfig;
use kennel_config::{Problems, Secret, Section};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A Telegram bot. A service reads one with the name of the bot as prefix: `SUPPORT_TELEGRAM_TOKEN`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TelegramConfig {
    /// The token of the bot, which Telegram gave out when it was created.
    pub telegram_token: Option<Secret>,
    /// URL of the Bot API.
    pub telegram_url: String,
    /// Whether the Bot API may have an address of a private network, or of this machine.
    pub telegram_private: bool,
}

impl Default for TelegramConfig {
    fn default() -> Self {
        let telegram_url = "https://api.telegram.org".to_owned();
        Self { telegram_token: None, telegram_url, telegram_private: false }
    }
}

impl Section for TelegramConfig {
    const TITLE: &'static str = "Telegram bot";

    fn check(&self, problems: &mut Problems) {
        problems.check_base_url("telegram_url", Some(&self.telegram_url));
        match &self.telegram_token {
            None => problems.add("telegram_token", "is required"),
            Some(token) if !is_token(token.expose()) => {
                problems.add("telegram_token", "must be the number of the bot, a colon and a key");
            }
            Some(_) => {}
        }
    }
}

/// Whether the text can be a token, such as `123456:ABC-DEF`. It becomes a segment of a path.
fn is_token(text: &str) -> bool {
    let is_key = |key: &str| key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    text.split_once(':').is_some_and(|(number, key)| {
        !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()) && !key.is_empty() && is_key(key)
    })
}

impl TelegramConfig {
    /// The settings of the client. Telegram does not know our traces.
    pub fn client(&self) -> ClientConfig {
        ClientConfig {
            allow_private: self.telegram_private,
            propagate_trace: false,
            // The poller waits by itself, and a bot answers 409 and 429 without being ill.
            breaker_failures: 0,
            secrets: self.telegram_token.iter().cloned().collect(),
            ..ClientConfig::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_checked_and_not_shown() {
        let config = |token: &str| TelegramConfig { telegram_token: Some(token.into()), ..TelegramConfig::default() };
        assert!(config("123456:ABC-DEF_1").validate().is_ok());
        for invalid in ["", "123456", ":ABC", "123456:", "x:ABC", "123456:AB/C", "123456:AB C"] {
            let errors = config(invalid).validate().unwrap_err().to_string();
            assert!(errors.contains("TELEGRAM_TOKEN"), "{errors}");
            assert!(!errors.contains("AB"), "{errors}");
        }
        assert!(TelegramConfig::default().validate().is_err());
        assert!(!format!("{:?}", config("123456:ABC-DEF_1")).contains("ABC"));
    }
}
