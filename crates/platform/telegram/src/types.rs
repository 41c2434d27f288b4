//! The objects of the Bot API that are read. Fields that are not listed are ignored.

use serde::Deserialize;
use serde_json::Value;

/// Something that happened in a chat with the bot: one of its fields is set, or none if it is something else.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub struct Update {
    /// Its number: later updates have higher ones.
    #[serde(rename = "update_id")]
    pub id: i64,
    /// Somebody sent a message.
    pub message: Option<Message>,
    /// Somebody changed a message.
    pub edited_message: Option<Message>,
    /// Somebody pressed a button below a message of the bot.
    pub callback_query: Option<CallbackQuery>,
}

impl Update {
    /// Reads an update. One that cannot be read has only its number: otherwise it would stop all that follow.
    pub(crate) fn read(value: &Value) -> Option<Self> {
        let id = value.get("update_id")?.as_i64()?;
        match Self::deserialize(value) {
            Ok(update) => Some(update),
            Err(error) => {
                tracing::warn!(update = id, error = &error as &dyn std::error::Error, "update is not readable");
                Some(Self { id, ..Self::default() })
            }
        }
    }
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Message {
    /// Its number in the chat.
    #[serde(rename = "message_id")]
    pub id: i64,
    /// The chat.
    pub chat: Chat,
    /// Who sent it; absent in channels.
    pub from: Option<User>,
    /// Its text; absent if it is something else, such as a picture.
    pub text: Option<String>,
}

impl Message {
    /// The command with which the text starts, without the slash and the name of the bot: `start` for `/start@my_bot now`.
    pub fn command(&self) -> Option<&str> {
        let first = self.text.as_deref()?.strip_prefix('/')?.split_whitespace().next()?;
        first.split('@').next().filter(|name| !name.is_empty())
    }

    /// The text after the command.
    pub fn argument(&self) -> &str {
        let text = self.text.as_deref().unwrap_or_default();
        text.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim())
    }
}

/// A chat.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Chat {
    /// Its number.
    pub id: i64,
}

/// A person or a bot.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct User {
    /// Its number.
    pub id: i64,
    /// Whether it is a bot.
    #[serde(default)]
    pub is_bot: bool,
    /// Its name.
    #[serde(default)]
    pub first_name: String,
    /// Its name for links, without `@`.
    pub username: Option<String>,
}

/// A button was pressed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct CallbackQuery {
    /// Its id, for the answer.
    pub id: String,
    /// Who pressed it.
    pub from: User,
    /// The message with the button.
    pub message: Option<Message>,
    /// The data of the button.
    pub data: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn updates_are_read_also_those_of_unknown_kinds() {
        let json = r#"[
            {"update_id": 1, "message": {"message_id": 2, "date": 3, "chat": {"id": -4, "type": "private"}, "text": "/start@bot  a b"}},
            {"update_id": 2, "callback_query": {"id": "5", "from": {"id": 6}, "data": "x", "chat_instance": "7"}},
            {"update_id": 3, "poll": {"id": "8"}},
            {"update_id": 4, "message": {"message_id": "not a number"}},
            {"no": "update"}
        ]"#;
        let values: Vec<Value> = serde_json::from_str(json).unwrap();
        let updates: Vec<_> = values.iter().filter_map(Update::read).collect();
        let message = updates[0].message.as_ref().unwrap();
        assert_eq!((message.chat.id, message.command(), message.argument()), (-4, Some("start"), "a b"));
        assert_eq!(updates[1].callback_query.as_ref().unwrap().data.as_deref(), Some("x"));
        assert_eq!(updates[2..], [3, 4].map(|id| Update { id, ..Update::default() }));
    }

    #[test]
    fn only_a_text_with_a_slash_is_a_command() {
        let message =
            |text: Option<&str>| Message { id: 1, chat: Chat { id: 1 }, from: None, text: text.map(str::to_owned) };
        for (text, command) in
            [(None, None), (Some("start"), None), (Some("/"), None), (Some("/@a"), None), (Some("/list"), Some("list"))]
        {
            assert_eq!(message(text).command(), command, "{text:?}");
        }
    }
}
