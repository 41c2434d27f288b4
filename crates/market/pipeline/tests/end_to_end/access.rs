//! Who may call what, at every service of the system.

use kennel_service::Service as _;
use kennel_testkit::access::{Addresses, Callers};

use crate::support::{Ports, stop};

/// The routes of the gateway are in a file; its own tests call them.
pub(crate) async fn each_operation_is_open_to_its_scope_only() {
    let services = [
        auth::Auth::access().scopes(),
        market_preprocessor::MarketPreprocessor::access().scopes(),
        analytics_api::AnalyticsApi::access().scopes(),
    ];
    let callers = Callers::of(&services);
    let (folder, ports) = (tempfile::tempdir().unwrap(), Ports::reserve());
    let keys = callers.api_keys();
    let mut process = ports.start(&folder, &["serve"], &[("AUTH", "api-key"), ("AUTH_API_KEYS", &keys)]);
    let [auth, candles, api] = &services;
    let http = Some(process.listener("auth.http").await);
    callers.call(Addresses { http, grpc: None }, auth).await;
    let grpc = Some(process.listener("market-preprocessor.grpc").await);
    callers.call(Addresses { http: None, grpc }, candles).await;
    let (http, grpc) = (process.listener("analytics-api.http").await, process.listener("analytics-api.grpc").await);
    callers.call(Addresses { http: Some(http), grpc: Some(grpc) }, api).await;
    stop(process).await;
}
