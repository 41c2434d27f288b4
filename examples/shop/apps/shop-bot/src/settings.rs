//! The settings that only this application has.

use kennel_config::{Reader, Settings};
use kennel_telegram::TelegramConfig;

/// The servers that it calls.
#[derive(Debug, Clone)]
pub struct AppSettings {
    /// The bot `support-bot`.
    pub support_bot: TelegramConfig,
    /// The bot `alerts`.
    pub alerts: TelegramConfig,
}

impl Settings for AppSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { support_bot: reader.named_section("support_bot"), alerts: reader.named_section("alerts") }
    }
}
