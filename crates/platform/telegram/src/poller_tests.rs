use std::sync::Mutex;

use kennel_app::Check as _;
use kennel_client::{Client, ClientMetrics};
use prometheus::Registry;

use super::*;
use crate::TelegramConfig;
use crate::mock::{FakeBotApi, Sent};

const TOKEN: &str = "1000:SECRET-TOKEN";
const LIMIT: Duration = Duration::from_secs(20);

fn bot(api: &FakeBotApi, token: &str) -> Bot {
    // Another test of this process may already have installed it.
    rustls::crypto::ring::default_provider().install_default().ok();
    let config = TelegramConfig { telegram_token: Some(token.into()), telegram_url: api.url(), telegram_private: true };
    let metrics = ClientMetrics::register(&Registry::new()).unwrap();
    Bot::new(Client::new("bot", &config.client(), &metrics).unwrap(), &config).unwrap()
}

/// Answers with the text, and fails as often as it says.
struct Echo {
    bot: Bot,
    failures: Mutex<u32>,
}

#[async_trait]
impl UpdateHandler for Echo {
    async fn handle(&self, update: &Update) -> Result<(), UpdateError> {
        let Some(message) = &update.message else { return Ok(()) };
        {
            let mut failures = self.failures.lock().unwrap();
            if *failures > 0 {
                *failures -= 1;
                return Err(UpdateError::Retry("not now".into()));
            }
        }
        self.bot.send_message(message.chat.id, message.text.as_deref().unwrap_or_default()).await?;
        Ok(())
    }
}

/// Runs a poller while `test` runs, and then stops it.
async fn with_poller(bot: Bot, failures: u32, test: impl AsyncFnOnce()) -> Result<(), BoxError> {
    let handler = Arc::new(Echo { bot: bot.clone(), failures: Mutex::new(failures) });
    let (stop, poller) = (Stop::new(), Box::new(Poller::new("bot", bot, handler)));
    let running = poller.run(stop.clone());
    let stopped = async {
        test().await;
        stop.request();
    };
    let (result, ()) = tokio::join!(running, stopped);
    result
}

fn sent(chat: i64, text: &str) -> Sent {
    Sent { chat, text: text.to_owned() }
}

#[tokio::test]
async fn updates_are_handled_in_order_and_confirmed() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    api.write(1, "before the start");
    api.push(&serde_json::json!({ "message": { "message_id": "unreadable" } }));
    let result = with_poller(bot(&api, TOKEN), 0, async || {
        api.sent_messages(1, LIMIT).await;
        api.write(2, "one");
        api.write(1, "two");
        let expected = [sent(1, "before the start"), sent(2, "one"), sent(1, "two")];
        assert_eq!(api.sent_messages(3, LIMIT).await, expected);
        // The next poll confirms them, so the next process does not handle them again.
        let confirmed = async {
            while !api.pending().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        assert!(timeout(LIMIT, confirmed).await.is_ok(), "{:?}", api.pending());
    });
    result.await.unwrap();
}

#[tokio::test]
async fn failures_of_telegram_and_of_the_handler_are_retried() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    for code in [409, 429, 500] {
        api.fail("getUpdates", code);
    }
    api.fail("sendMessage", 429);
    api.write(1, "hello");
    let result = with_poller(bot(&api, TOKEN), 1, async || {
        assert_eq!(api.sent_messages(1, LIMIT).await, [sent(1, "hello")]);
    });
    result.await.unwrap();
}

#[tokio::test]
async fn an_update_that_always_fails_does_not_stop_the_others() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    api.write(1, "poison");
    api.write(1, "next");
    let result = with_poller(bot(&api, TOKEN), MAX_ATTEMPTS, async || {
        assert_eq!(api.sent_messages(1, LIMIT).await, [sent(1, "next")]);
    });
    result.await.unwrap();
}

#[tokio::test]
async fn a_refused_update_is_skipped_at_once_and_an_outage_of_any_length_loses_none() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    // The first chat has blocked the bot.
    api.fail("sendMessage", 403);
    for _ in 0..2 * MAX_ATTEMPTS {
        api.fail("sendMessage", 429);
    }
    api.write(1, "blocked");
    api.write(2, "patient");
    let result = with_poller(bot(&api, TOKEN), 0, async || {
        assert_eq!(api.sent_messages(1, LIMIT).await, [sent(2, "patient")]);
    });
    result.await.unwrap();
}

/// Fails once, then because of a dependency, and remembers what the progress was after that.
struct Dependent {
    progress: Progress,
    calls: Mutex<u32>,
}

#[async_trait]
impl UpdateHandler for Dependent {
    async fn handle(&self, _: &Update) -> Result<(), UpdateError> {
        let calls = {
            let mut calls = self.calls.lock().unwrap();
            *calls += 1;
            *calls
        };
        match calls {
            1 => Err(UpdateError::Retry("not now".into())),
            2 => Err(UpdateError::Unavailable("no store".into())),
            _ => {
                assert!(self.progress.check().await.is_err(), "the stall is visible");
                Ok(())
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_dependency_is_visible_after_another_failure_too() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    let progress = Progress::new(Duration::ZERO);
    let handler = Arc::new(Dependent { progress: progress.clone(), calls: Mutex::new(0) });
    let mut poller = Poller::new("bot", bot(&api, TOKEN), handler);
    poller.progress = progress.clone();
    let update = serde_json::from_value(serde_json::json!({ "update_id": 1 })).unwrap();
    assert!(poller.handle(&update, &Stop::new()).await);
    progress.check().await.unwrap();
}

#[tokio::test]
async fn an_unknown_method_is_not_an_unknown_token() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    let unknown = bot(&api, TOKEN).call::<serde_json::Value>("sendFoto", &serde_json::json!({})).await.unwrap_err();
    assert_eq!(unknown.to_string(), "telegram refused the call with 404: Not Found");
}

#[tokio::test]
async fn a_wrong_token_ends_the_poller_and_is_in_no_error() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    let wrong = bot(&api, "1000:WRONG-TOKEN");
    assert!(!format!("{wrong:?}").contains("WRONG"), "{wrong:?}");
    let handler = Arc::new(Echo { bot: wrong.clone(), failures: Mutex::new(0) });
    let error = Box::new(Poller::new("bot", wrong, handler)).run(Stop::new()).await.unwrap_err();
    assert_eq!(error.to_string(), "telegram does not know the token");
    let unauthorized = bot(&api, "1000:WRONG-TOKEN").me().await.unwrap_err();
    assert!(matches!(unauthorized, TelegramError::Unauthorized), "{unauthorized:?}");
    let url = api.url();
    drop(api);
    let config = TelegramConfig { telegram_token: Some(TOKEN.into()), telegram_url: url, telegram_private: true };
    let metrics = ClientMetrics::register(&Registry::new()).unwrap();
    let bot = Bot::new(Client::new("bot", &config.client(), &metrics).unwrap(), &config).unwrap();
    let unreachable = bot.me().await.unwrap_err();
    assert!(!format!("{unreachable:?} {unreachable}").contains("SECRET"), "{unreachable:?}");
}

#[tokio::test]
async fn refusals_have_the_text_of_telegram() {
    let api = FakeBotApi::start(TOKEN).await.unwrap();
    let bot = bot(&api, TOKEN);
    assert_eq!(bot.me().await.unwrap().username.as_deref(), Some("a_bot"));
    let refused = bot.send_message(1, "").await.unwrap_err();
    assert_eq!(refused.to_string(), "telegram refused the call with 400: Bad Request: message text is empty");
    api.press(1, "more");
    let updates = bot.updates(0, Duration::ZERO).await.unwrap();
    assert_eq!(updates[0].callback_query.as_ref().unwrap().data.as_deref(), Some("more"));
    bot.answer_callback("1", "").await.unwrap();
}
