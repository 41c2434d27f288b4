//! The credentials of a NATS URL are sent to the server; the shared test server requires none.
#![cfg(feature = "nats")]
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use kennel_broker::nats::{NatsBroker, NatsConfig};
use kennel_core::SystemClock;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::time::timeout;

const INFO: &str = r#"INFO {"server_id":"S","version":"2.11.0","proto":1,"max_payload":1048576,"auth_required":true}"#;

/// Returns the CONNECT message of a client with this login in its URL.
async fn login_sent_with(login: &str) -> Value {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("nats://{login}{}", listener.local_addr().unwrap());
    let config = NatsConfig { nats_url: Some(url.into()), ..NatsConfig::default() };
    let _broker = NatsBroker::connect(&config, NonZeroUsize::MIN, Arc::new(SystemClock)).await.unwrap();
    let greeting = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(format!("{INFO}\r\n").as_bytes()).await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    };
    let line = timeout(Duration::from_secs(30), greeting).await.unwrap();
    serde_json::from_str(line.strip_prefix("CONNECT ").unwrap()).unwrap()
}

#[tokio::test]
async fn user_and_password_of_the_url_are_sent() {
    let login_sent = login_sent_with("kennel:p%40ss%2Fword@").await;
    assert_eq!((login_sent["user"].as_str(), login_sent["pass"].as_str()), (Some("kennel"), Some("p@ss/word")));
    assert_eq!(login_sent_with("t0ken@").await["auth_token"], "t0ken");
    let login_sent = login_sent_with("").await;
    assert!(login_sent["user"].is_null() && login_sent["auth_token"].is_null(), "{login_sent}");
}
