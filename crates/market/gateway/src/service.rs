//! The service, as the platform runs it.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use axum::Router;
use kennel_http::{HttpMetrics, sys};
use kennel_net::AccessCheck;
use kennel_service::{AccessRules, Context, NoCommand, OpenApiRouter, Service, Uses, Worker};
use tokio::sync::Semaphore;

use crate::access;
use crate::coalesce::Coalescer;
use crate::config::ApiGatewayConfig;
use crate::description;
use crate::gateway::{Gateway, GatewayState};
use crate::limit::Limiter;
use crate::metrics::GatewayMetrics;
use crate::tunnel::{TunnelRunner, Tunnels, tunnels};
use crate::upstream::Upstream;

/// What is in front of the services of a system.
#[derive(Clone)]
pub struct ApiGateway {
    limiter: Limiter,
    tunnels: Tunnels,
    /// Taken when the workers start.
    runner: Arc<Mutex<Option<TunnelRunner>>>,
    metrics: GatewayMetrics,
}

impl Service for ApiGateway {
    const NAME: &'static str = "api-gateway";
    const ABOUT: &'static str = "One address for the services of a system: routes, authentication, rate limits";
    const USES: Uses = Uses::HTTP.and(Uses::CACHE);
    const CONTRACTS: &'static str = "market/gateway";
    const HTTP_PORT: u16 = 8084;

    type State = Self;
    type Config = ApiGatewayConfig;
    type Command = NoCommand;

    fn http() -> OpenApiRouter<Self> {
        description::router()
    }

    fn access() -> AccessRules {
        access::rules()
    }

    async fn build(cx: &Context<Self>) -> anyhow::Result<Self> {
        let metrics = GatewayMetrics::register(cx.registry())?;
        let (tunnels, runner) = tunnels();
        let limiter = Limiter::new(cx.counters("gateway.rate").await?, cx.clock(), metrics.clone());
        Ok(Self { limiter, tunnels, runner: Arc::new(Mutex::new(Some(runner))), metrics })
    }

    fn app(
        &self,
        cx: &Context<Self>,
        http: &HttpMetrics,
        access: Option<Arc<dyn AccessCheck>>,
    ) -> anyhow::Result<Router> {
        let routes = cx.config.routes.clone();
        let upstreams = routes.upstreams.iter().map(|config| Upstream::new(config, self.metrics.clone()));
        let upstreams = upstreams.collect::<Result<_, _>>().context("cannot create the clients of the upstreams")?;
        let standard = &cx.standard.http;
        let state = GatewayState {
            routes,
            upstreams,
            access,
            limiter: self.limiter.clone(),
            coalescer: Coalescer::default(),
            tunnels: self.tunnels.clone(),
            trusted_hops: cx.config.gateway.gateway_trusted_hops.into(),
            is_https: standard.has_tls,
            in_flight: Semaphore::new(standard.server.max_in_flight as usize),
            http: http.clone(),
            metrics: self.metrics.clone(),
        };
        Ok(Router::new().merge(sys::health(cx.health.clone())).fallback_service(Gateway(Arc::new(state))))
    }

    async fn workers(&self, _: &Context<Self>) -> anyhow::Result<Vec<Worker>> {
        let runner = self.runner.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(runner.into_iter().map(Worker::new).collect())
    }
}
