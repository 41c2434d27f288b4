//! Rate limits, and reads that share a response.

use crate::support::{Echo, Gateway, get_with, routes};

pub(crate) const LIMIT: &str = "[limits.tight]\nrequests = 3\nwindow = \"24h\"\n";

#[tokio::test]
async fn too_many_requests_are_refused_with_the_pair_of_headers() {
    let echo = Echo::start().await;
    let text = format!("{LIMIT}{}", routes(echo.address, "limit = \"tight\""));
    let gateway = Gateway::start(&text, &[]).await;
    for left in [2, 1, 0] {
        let answer = get_with(gateway.http, "/a", "").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.header("ratelimit-policy"), Some(r#""tight";q=3;w=86400"#));
        let standing = answer.header("ratelimit").unwrap();
        assert!(standing.starts_with(&format!(r#""tight";r={left};t="#)), "{standing}");
    }
    let refused = get_with(gateway.http, "/a", "").await;
    assert_eq!((refused.status, refused.code().as_str()), (429, "rate_limited"));
    assert!(refused.header("ratelimit").unwrap().starts_with(r#""tight";r=0;t="#));
    let retry: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=86_400).contains(&retry), "{retry}");
    gateway.metric(r#"gateway_rate_limit_total{outcome="limited",policy="tight"} 1"#).await;
}

#[tokio::test]
async fn a_client_with_a_network_of_ipv6_has_one_limit() {
    let echo = Echo::start().await;
    let text = format!("{LIMIT}{}", routes(echo.address, "limit = \"tight\""));
    let gateway = Gateway::start(&text, &[("GATEWAY_TRUSTED_HOPS", "1")]).await;
    let mut statuses = Vec::new();
    for address in ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::1"] {
        statuses.push(get_with(gateway.http, "/a", &format!("x-forwarded-for: {address}\r\n")).await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 200]);
}

#[tokio::test]
async fn concurrent_public_reads_share_one_request() {
    let echo = Echo::start().await;
    let gateway = Gateway::start(&routes(echo.address, "coalesce = true"), &[]).await;
    let requests = (0..20).map(|_| get_with(gateway.http, "/counted?hold=true", ""));
    let release = async {
        gateway.metric("http_requests_in_flight 20").await;
        while !gateway.metrics().await.contains("http_requests_in_flight 0") {
            echo.release();
        }
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), release);
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert!(echo.counted() <= 3, "{} requests reached the upstream", echo.counted());
    gateway.metric(r#"gateway_coalesced_total{route="echo"} 1"#).await;
    let before = echo.counted();
    for credentials in ["authorization: Bearer x\r\n", "x-api-key: x\r\n", "cookie: x=y\r\n"] {
        get_with(gateway.http, "/counted", credentials).await;
    }
    assert_eq!(echo.counted(), before + 3, "each has its own");
    get_with(gateway.http, "/counted", "").await;
    get_with(gateway.http, "/counted", "").await;
    assert_eq!(echo.counted(), before + 5, "nothing is cached");
}
