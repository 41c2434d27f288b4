//! Counters that replicas share.

use kennel_testkit::{Backend, FaultProxy, Mode};

use crate::limits::LIMIT;
use crate::support::{Echo, Gateway, get_with, routes};

/// Two replicas share counters in Redis; without it each counts for itself, and requests go on.
#[tokio::test]
async fn replicas_share_counters_while_redis_is_there() {
    let Some(redis) = Backend::Redis.address() else { return };
    let proxy = FaultProxy::new(redis.parse().unwrap()).await;
    let address = proxy.address().to_string();
    let echo = Echo::start().await;
    // Other runs use the same server.
    let route = format!("limit-{}", std::process::id());
    let text = format!(
        "{LIMIT}{}",
        routes(echo.address, "limit = \"tight\"").replace("\"echo\"\npath", &format!("\"{route}\"\npath"))
    );
    let env = [("CACHE", "redis"), ("REDIS_ADDR", address.as_str())];
    let gateways = [Gateway::start(&text, &env).await, Gateway::start(&text, &env).await];
    let mut statuses = Vec::new();
    for number in 0..6 {
        statuses.push(get_with(gateways[number % 2].http, "/a", "").await.status);
    }
    assert_eq!(statuses, [200, 200, 200, 429, 429, 429]);
    proxy.set(Mode::Drop);
    assert_eq!(get_with(gateways[0].http, "/a", "").await.status, 200);
    gateways[0].metric("gateway_rate_limit_local_total 1").await;
}
