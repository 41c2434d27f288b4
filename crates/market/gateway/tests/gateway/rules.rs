//! The rules for requests, as a table: what is refused, and what the upstream gets.

use crate::support::{Echo, Gateway, get_with, routes, send};

/// Each request line and header lines, with the status, the code of the problem, and the target that the upstream gets.
const TARGETS: [(&str, u16, &str); 30] = [
    ("GET /a HTTP/1.1\r\nhost: g", 200, "/a"),
    ("GET /a?x=/../%2e HTTP/1.1\r\nhost: g", 200, "/a?x=/../%2e"),
    ("GET //a///b HTTP/1.1\r\nhost: g", 200, "/a/b"),
    ("GET /a/../b HTTP/1.1\r\nhost: g", 200, "/b"),
    ("GET /a/%2e%2E/b?q HTTP/1.1\r\nhost: g", 200, "/b?q"),
    ("GET /%61 HTTP/1.1\r\nhost: g", 200, "/a"),
    ("GET /a%20b HTTP/1.1\r\nhost: g", 200, "/a%20b"),
    ("GET http://g/a HTTP/1.1\r\nhost: g", 200, "/a"),
    ("GET /a HTTP/1.0\r\nhost: g", 200, "/a"),
    ("GET /.. HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /%2e%2e/a HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a%2fb HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a%5Cb HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a%00 HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /%252e%252e/a HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a%zz HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a/..;/b HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("GET /a HTTP/1.1", 400, "malformed"),
    ("GET /a HTTP/1.1\r\nhost: g\r\nhost: h", 400, "malformed"),
    ("GET http://h/a HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("OPTIONS * HTTP/1.1\r\nhost: g", 400, "malformed"),
    ("TRACE /a HTTP/1.1\r\nhost: g", 405, "method_not_allowed"),
    ("CONNECT a:1 HTTP/1.1\r\nhost: a:1", 405, "method_not_allowed"),
    ("DELETE /read HTTP/1.1\r\nhost: g", 405, "method_not_allowed"),
    ("HEAD /read HTTP/1.1\r\nhost: g", 200, ""),
    ("POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 0", 200, "/a"),
    ("POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 99999", 413, "too_large"),
    // Refused by the server itself, without a body.
    ("POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: 1\r\ncontent-length: 2", 400, "-"),
    ("POST /a HTTP/1.1\r\nhost: g\r\ncontent-length: -1", 400, "-"),
    ("POST /a HTTP/1.1\r\nhost: g\r\ntransfer-encoding: gzip", 400, "-"),
];

async fn start() -> (Gateway, Echo) {
    let echo = Echo::start().await;
    let read = "body_limit = \"16 KiB\"\n[[routes]]\nname = \"read\"\npath = \"/read\"\nmethods = [\"GET\"]\n\
                upstream = \"echo\"\npublic = true";
    (Gateway::start(&routes(echo.address, read), &[]).await, echo)
}

#[tokio::test]
async fn targets_hosts_and_lengths() {
    let (gateway, _echo) = start().await;
    for (request, status, expected) in TARGETS {
        let answer = send(gateway.http, format!("{request}\r\nconnection: close\r\n\r\n").as_bytes()).await;
        assert_eq!(answer.status, status, "{request}: {answer:?}");
        match (status, expected) {
            (_, "" | "-") => {}
            (200, target) => assert_eq!(answer.json()["target"], target, "{request}"),
            (_, code) => assert_eq!(answer.code(), code, "{request}"),
        }
    }
    let refused = send(gateway.http, b"DELETE /read HTTP/1.1\r\nhost: g\r\n\r\n").await;
    assert_eq!(refused.header("allow"), Some("GET, HEAD"));
    gateway.metric(r#"gateway_refused_total{reason="too_large",route="echo"} 1"#).await;
    gateway.metric(r#"http_requests_total{method="GET",route="echo",status="200"} 9"#).await;
}

/// With both, a sender may want two servers to see two requests. The gateway follows `Transfer-Encoding` alone, as RFC 9112
/// permits, forwards a length of its own, and closes the connection.
#[tokio::test]
async fn a_body_has_one_length() {
    let (gateway, _echo) = start().await;
    for order in ["content-length: 3\r\ntransfer-encoding: chunked", "transfer-encoding: chunked\r\ncontent-length: 3"]
    {
        let smuggled = "5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: g\r\n\r\n";
        let answer =
            send(gateway.http, format!("POST /a HTTP/1.1\r\nhost: g\r\n{order}\r\n\r\n{smuggled}").as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["body"]), (200, &5.into()), "{answer:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.got("content-length").is_empty(), "{answer:?}");
        assert_eq!(answer.got("transfer-encoding"), ["chunked"]);
    }
    let large = "x".repeat(20_000);
    let chunked =
        format!("POST /a HTTP/1.1\r\nhost: g\r\ntransfer-encoding: chunked\r\n\r\n4e20\r\n{large}\r\n0\r\n\r\n");
    let answer = send(gateway.http, chunked.as_bytes()).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
}

#[tokio::test]
async fn fields_of_one_connection_end_here() {
    let (gateway, _echo) = start().await;
    let headers = "connection: keep-alive, X-Named, authorization\r\nkeep-alive: timeout=9\r\nproxy-connection: x\r\n\
                   te: trailers, gzip;q=0.5\r\nupgrade: h2c\r\nhttp2-settings: x\r\nproxy-authorization: x\r\n\
                   x-named: 1\r\nauthorization: Bearer x\r\nexpect: 100-continue\r\nx-end-to-end: 1\r\n";
    let answer = get_with(gateway.http, "/a", headers).await;
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "upgrade",
        "http2-settings",
        "proxy-authorization",
        "x-named",
        "authorization",
        "expect",
    ] {
        assert!(answer.got(name).is_empty(), "{name}: {answer:?}");
    }
    assert_eq!(answer.got("te"), ["trailers"]);
    assert_eq!(answer.got("x-end-to-end"), ["1"]);
    assert_eq!(answer.got("via"), ["1.1 kennel"]);
    // The same for the response.
    for name in ["keep-alive", "x-upstream-hop"] {
        assert_eq!(answer.header(name), None, "{answer:?}");
    }
    assert_eq!((answer.header("x-kept"), answer.header("via")), (Some("1"), Some("1.1 kennel")));
    let passed_on = get_with(gateway.http, "/a", "authorization: Bearer x\r\nvia: 1.1 before\r\n").await;
    assert_eq!(passed_on.got("authorization"), ["Bearer x"]);
    assert_eq!(passed_on.got("via"), ["1.1 before", "1.1 kennel"]);
}

#[tokio::test]
async fn only_the_gateway_says_who_calls() {
    let (gateway, echo) = start().await;
    let claims = [
        "X-Auth-Subject",
        "x-auth-scopes",
        "X_Auth_Subject",
        "x.auth.subject",
        "X-AUTH_SUBJECT",
        "x-user-id",
        "X-User",
        "remote-user",
        "Remote_User",
        "x-remote-user",
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "forwarded",
        "x-forwarded-user",
        "x-forwarded-for",
        "x-forwarded-proto",
        "x-original-url",
        "x-rewrite-url",
        "x-http-method-override",
        "x-internal-token",
        "x-kennel-principal",
        "x-jwt-claims",
        "baggage",
        "traceparent",
        "tracestate",
    ];
    let lines = claims.map(|name| format!("{name}: admin\r\n")).concat();
    let answer = get_with(gateway.http, "/a", &lines).await;
    let sent = answer.json()["headers"].to_string();
    assert!(!sent.contains("admin"), "{sent}");
    assert_eq!(answer.got("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(answer.got("x-forwarded-proto"), ["http"]);
    assert_eq!(answer.got("x-forwarded-host"), ["gateway"]);
    assert_eq!(answer.got("host"), [echo.address.to_string()]);
    assert_eq!(answer.got("x-request-id"), [answer.header("x-request-id").unwrap()]);
    assert_eq!(answer.got("traceparent").len(), 1, "a trace that starts here");
    let known = get_with(gateway.http, "/a", "x-request-id: abc\r\n").await;
    assert_eq!((known.got("x-request-id"), known.header("x-request-id")), (vec!["abc".to_owned()], Some("abc")));
}

#[tokio::test]
async fn addresses_before_trusted_proxies_are_not_believed() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(&routes(echo.address, ""), &[("GATEWAY_TRUSTED_HOPS", "2")]).await;
    for (sent, expected) in [
        ("x-forwarded-for: 6.6.6.6, 1.1.1.1, 2.2.2.2\r\n", "1.1.1.1, 2.2.2.2, 127.0.0.1"),
        (
            "x-forwarded-for: 6.6.6.6\r\nx-forwarded-for: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\n",
            "1.1.1.1, 2.2.2.2, 127.0.0.1",
        ),
        ("x-forwarded-for: 1.1.1.1, spoofed, 2.2.2.2\r\n", "2.2.2.2, 127.0.0.1"),
        ("x-forwarded-for: 2.2.2.2\r\n", "2.2.2.2, 127.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        assert_eq!(get_with(gateway.http, "/a", sent).await.got("x-forwarded-for"), [expected], "{sent}");
    }
}

#[tokio::test]
async fn cookies_are_one_field() {
    let (gateway, _echo) = start().await;
    assert_eq!(get_with(gateway.http, "/a", "cookie: a=1\r\ncookie: b=2\r\n").await.got("cookie"), ["a=1; b=2"]);
}

#[tokio::test]
async fn max_forwards_is_counted() {
    let (gateway, _echo) = start().await;
    let options = async |left: &str| {
        let request = format!("OPTIONS /a HTTP/1.1\r\nhost: g\r\nmax-forwards: {left}\r\nconnection: close\r\n\r\n");
        send(gateway.http, request.as_bytes()).await
    };
    assert_eq!(options("0").await.status, 204);
    assert_eq!(options("1").await.got("max-forwards"), ["0"]);
}

#[tokio::test]
async fn what_is_left_of_a_deadline_is_passed_on() {
    let (gateway, _echo) = start().await;
    for (sent, most) in [("grpc-timeout: 5S\r\n", 5_000_000), ("grpc-timeout: 2H\r\n", 30_000_000), ("", 30_000_000)] {
        let answer = get_with(gateway.http, "/a", &format!("content-type: application/grpc\r\n{sent}")).await;
        let passed_on = answer.got("grpc-timeout");
        let micros: u64 = passed_on[0].strip_suffix('u').unwrap().parse().unwrap();
        assert!((1..=most).contains(&micros), "{passed_on:?}");
    }
    let late =
        get_with(gateway.http, "/a", "content-type: application/grpc\r\ngrpc-timeout: 1n\r\nconnection: close\r\n")
            .await;
    assert_eq!((late.status, late.header("grpc-status")), (200, Some("4")));
    assert!(get_with(gateway.http, "/a", "").await.got("grpc-timeout").is_empty());
}
