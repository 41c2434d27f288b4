//! The Telegram bot `«name»`.

use std::error::Error;
use std::sync::Arc;

use async_trait::async_trait;
use kennel_core::PageSize;
use kennel_telegram::{Bot, Message, Poller, Update, UpdateError, UpdateHandler};
use «ident»_domain::{NoteService, NoteText};

/// Answers messages. After a crash, an update may be handled a second time.
pub struct «Name»Bot {
    /// The operations on notes.
    pub notes: NoteService,
    /// Sends the answers.
    pub bot: Bot,
}

/// The component that polls for updates.
pub fn poller(notes: NoteService, bot: Bot) -> Poller {
    Poller::new("«name»", bot.clone(), Arc::new(«Name»Bot { notes, bot }))
}

impl «Name»Bot {
    async fn answer(&self, message: &Message) -> Result<String, UpdateError> {
        let text = message.text.clone().unwrap_or_default();
        Ok(match message.command() {
            Some("start" | "help") => "Send me a text, and I store it. /list shows the newest ones.".to_owned(),
            Some("list") => self.list().await?,
            Some(other) => format!("I do not know /{other}. /help says what I know."),
            None => match NoteText::try_from(text) {
                Ok(text) => format!("Stored as {}.", self.notes.create(text).await?.id),
                Err(error) => format!("A text {error}."),
            },
        })
    }

    async fn list(&self) -> Result<String, UpdateError> {
        let newest = self.notes.list(None, PageSize::default()).await?;
        let lines: Vec<_> = newest.items.iter().map(|note| format!("- {}", note.text.as_str())).collect();
        Ok(if lines.is_empty() { "There are none.".to_owned() } else { lines.join("\n") })
    }
}

#[async_trait]
impl UpdateHandler for «Name»Bot {
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
