//! The program with its default store and the in-process broker, as clients use it.

use std::path::Path;
use std::time::Duration;

use kennel_telegram::mock::FakeBotApi;
use kennel_testkit::process::{Launch, ServiceProcess};

const STOP_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test]
async fn serves_until_it_is_stopped() {
    let folder = tempfile::tempdir().unwrap();
    let support_bot = FakeBotApi::start("1:support_bot").await.unwrap();
    let support_bot_url = support_bot.url();
    let env = [
        ("PROMETHEUS_PORT", "0"),
        ("SUPPORT_BOT_TELEGRAM_TOKEN", "1:support_bot"),
        ("SUPPORT_BOT_TELEGRAM_URL", &*support_bot_url),
        ("SUPPORT_BOT_TELEGRAM_PRIVATE", "true"),
        ("ALERTS_TELEGRAM_TOKEN", "1:test"),
    ];
    let binary = Path::new(env!("CARGO_BIN_EXE_shop-bot"));
    let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder.path() });
    let sys = process.listener("sys").await;
    process.ready(sys, "/ready").await;
    let texts = chat(&support_bot).await;
    // Later chats list what was stored in this one.
    assert_eq!((&*texts[1], &*texts[3]), ("There are none.", "- one"), "{texts:?}");
    process.terminate();
    assert!(process.wait(STOP_LIMIT).await.success(), "{}", process.output());
}

/// Somebody writes to the bot, and gets these answers.
async fn chat(api: &FakeBotApi) -> Vec<String> {
    for text in ["/start", "/list", "one", "/list", "/unknown"] {
        api.write(7, text);
    }
    let sent = api.sent_messages(5, Duration::from_secs(20)).await;
    let texts: Vec<_> = sent.into_iter().map(|message| message.text).collect();
    assert_eq!(texts.len(), 5, "{texts:?}");
    texts
}
