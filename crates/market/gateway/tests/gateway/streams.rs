//! Streams: server-sent events over a restart, `WebSocket`s, and bodies in both directions.

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Echo, Gateway, LIMIT, read_head, routes, send};

/// A stream of events, and what of it was not parsed yet.
struct Events {
    stream: BufReader<TcpStream>,
    text: String,
}

impl Events {
    async fn open(gateway: &Gateway, last: u64) -> Self {
        let mut stream = TcpStream::connect(gateway.http).await.unwrap();
        let request = format!("GET /sse HTTP/1.1\r\nhost: g\r\nlast-event-id: {last}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        assert!(read_head(&mut stream).await.starts_with("HTTP/1.1 200 "));
        Self { stream: BufReader::new(stream), text: String::new() }
    }

    /// Reads events until the stream ends or `count` ids have arrived.
    async fn read(&mut self, ids: &mut Vec<u64>, count: usize) {
        while ids.len() < count {
            let mut size = String::new();
            timeout(LIMIT, self.stream.read_line(&mut size)).await.unwrap().unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            self.stream.read_exact(&mut chunk).await.unwrap();
            if size == 0 {
                return;
            }
            self.text.push_str(std::str::from_utf8(&chunk[..size]).unwrap());
            while let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                ids.extend(event.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok()));
            }
        }
    }
}

#[tokio::test]
async fn events_resume_over_a_restart_of_the_gateway_without_a_gap() {
    let echo = Echo::start().await;
    let routes = routes(echo.address, "");
    let mut seen = Vec::new();
    for _ in 0..3 {
        let gateway = Gateway::start(&routes, &[]).await;
        let mut events = Events::open(&gateway, seen.last().copied().unwrap_or_default()).await;
        let mut ids = Vec::new();
        events.read(&mut ids, 20).await;
        gateway.metric(r#"gateway_streams{kind="sse"} 1"#).await;
        // The stream ends as if it were complete.
        tokio::join!(events.read(&mut ids, usize::MAX), gateway.stop());
        seen.extend(ids);
    }
    let expected: Vec<u64> = (1..=seen.len() as u64).collect();
    assert!(seen.len() >= 60);
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn websockets_pass_where_a_route_permits_it() {
    let echo = Echo::start().await;
    let without = "[[routes]]\nname = \"without\"\npath = \"/without/*\"\nupstream = \"echo\"\npublic = true\n";
    let gateway = Gateway::start(&(routes(echo.address, "websocket = true") + without), &[]).await;
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nhost: g\r\nconnection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\nsec-websocket-key: x\r\n\r\n"
        )
    };
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    stream.write_all(upgrade("/ws").as_bytes()).await.unwrap();
    let head = read_head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 101 ") && head.contains("sec-websocket-accept: x"), "{head}");
    for word in ["hello", "again"] {
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut answer = vec![0; word.len()];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, word.to_ascii_uppercase().as_bytes());
    }
    gateway.metric(r#"gateway_streams{kind="websocket"} 1"#).await;
    let plain = send(gateway.http, upgrade("/without/a").as_bytes()).await;
    assert_eq!((plain.status, plain.got("upgrade").len()), (200, 0), "the upgrade is not passed on");
    // A process that stops closes its tunnels.
    let ((), end) = tokio::join!(gateway.stop(), async { stream.read(&mut [0; 10]).await });
    assert!(!matches!(end, Ok(1..)));
}

#[tokio::test]
async fn an_idle_websocket_is_closed() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(&routes(echo.address, "websocket = true\nidle_timeout = \"300ms\""), &[]).await;
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    stream
        .write_all(b"GET /ws HTTP/1.1\r\nhost: g\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut stream).await;
    stream.write_all(b"x").await.unwrap();
    let mut received = Vec::new();
    timeout(LIMIT, stream.read_to_end(&mut received)).await.unwrap().unwrap();
    assert_eq!(received, b"X");
    gateway.metric(r#"gateway_streams{kind="websocket"} 0"#).await;
}

#[tokio::test]
async fn bodies_stream_in_pieces() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(&routes(echo.address, ""), &[]).await;
    let mut stream = TcpStream::connect(gateway.http).await.unwrap();
    stream.write_all(b"POST /a HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
    for _ in 0..10 {
        stream.write_all(b"5\r\nhello\r\n").await.unwrap();
        stream.flush().await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    let answer = timeout(LIMIT, crate::support::read(&mut stream)).await.unwrap();
    assert_eq!(answer.json()["body"], 50);
}
