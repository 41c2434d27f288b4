//! The Telegram bot `support-bot`.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::PageSize;
use kennel_telegram::{Bot, Message, Poller, Update, UpdateError, UpdateHandler};
use shop_domain::{ItemService, ItemText};

/// Answers messages. After a crash, an update may be handled a second time.
pub struct SupportBotBot {
    /// The operations on items.
    pub items: ItemService,
    /// Sends the answers.
    pub bot: Bot,
}

/// The component that polls for updates.
pub fn poller(items: ItemService, bot: Bot) -> Poller {
    Poller::new("support-bot", bot.clone(), Arc::new(SupportBotBot { items, bot }))
}

impl SupportBotBot {
    async fn answer(&self, message: &Message) -> Result<String, UpdateError> {
        let text = message.text.clone().unwrap_or_default();
        Ok(match message.command() {
            Some("start" | "help") => "Send me a text, and I store it. /list shows the newest ones.".to_owned(),
            Some("list") => self.list().await?,
            Some(other) => format!("I do not know /{other}. /help says what I know."),
            None => match ItemText::try_from(text) {
                Ok(text) => format!("Stored as {}.", self.items.create(text).await?.id),
                Err(error) => format!("A text {error}."),
            },
        })
    }

    async fn list(&self) -> Result<String, UpdateError> {
        let newest = self.items.list(None, PageSize::default()).await?;
        let lines: Vec<_> = newest.items.iter().map(|item| format!("- {}", item.text.as_str())).collect();
        Ok(if lines.is_empty() { "There are none.".to_owned() } else { lines.join("\n") })
    }
}

#[async_trait]
impl UpdateHandler for SupportBotBot {
    async fn handle(&self, update: &Update) -> Result<(), UpdateError> {
        if let Some(message) = &update.message {
            let answer = self.answer(message).await?;
            // The update is not handled again for it: a text would be stored once more.
            if let Err(error) = self.bot.send_message(message.chat.id, &answer).await {
                tracing::warn!(error = &error as &dyn Error, "answer is not sent");
            }
        }
        Ok(())
    }
}
