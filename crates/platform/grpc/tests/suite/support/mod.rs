//! A server on a free port, a small service to call, and clients for both.

mod probe;
mod raw;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kennel_app::{Component as _, Health, Stop};
use kennel_core::{BoxError, UuidV7};
use kennel_grpc::{GrpcConfig, GrpcMetrics, GrpcServer};
use kennel_net::ServerTls;
use prometheus::Registry;
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) use probe::{Probe, descriptors};
pub(crate) use raw::{RawResponse, frame, gzipped, raw_call, raw_send};

pub(crate) const SERVICE: &str = "test.v1.Probe";

pub(crate) struct Server {
    pub(crate) addr: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) health: Health,
    pub(crate) registry: Registry,
    pub(crate) probe: Probe,
    running: JoinSet<Result<(), BoxError>>,
}

pub(crate) fn config() -> GrpcConfig {
    GrpcConfig { grpc_port: 0, domain: "probe", ..GrpcConfig::default() }
}

pub(crate) async fn start(config: GrpcConfig) -> Server {
    start_with(config, |server| server).await
}

pub(crate) async fn start_with_tls(config: GrpcConfig, tls: Option<ServerTls>) -> Server {
    start_with(config, |server| server.with_tls(tls)).await
}

/// Starts a server that `change` has configured further.
pub(crate) async fn start_with(config: GrpcConfig, change: impl FnOnce(GrpcServer) -> GrpcServer) -> Server {
    let (stop, health, registry, probe) = (Stop::new(), Health::new(), Registry::new(), Probe::default());
    let metrics = GrpcMetrics::register(&registry).unwrap();
    let server = GrpcServer::new("grpc", config, health.clone(), Arc::new(UuidV7), metrics)
        .add_service(probe.clone())
        .descriptors(descriptors());
    let mut server = change(server);
    server.init().await.unwrap();
    let addr = server.address().get().unwrap();
    let mut running = JoinSet::new();
    running.spawn(Box::new(server).run(stop.clone()));
    Server { addr, stop, health, registry, probe, running }
}

impl Server {
    pub(crate) async fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.addr)).unwrap().connect().await.unwrap()
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(crate) async fn client(&self) -> Client {
        Client(self.channel().await)
    }

    /// The result of `run`. Panics if it does not end.
    pub(crate) async fn ended(&mut self) -> Result<(), BoxError> {
        let joined = tokio::time::timeout(Duration::from_secs(10), self.running.join_next()).await;
        joined.expect("the server ends").unwrap().unwrap()
    }

    /// Waits until the metrics contain `line`.
    pub(crate) async fn metric(&self, line: &str) {
        for _ in 0..1_000 {
            if self.metrics().contains(line) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("{line} is not in {}", self.metrics());
    }

    pub(crate) fn metrics(&self) -> String {
        kennel_telemetry::metrics::encode(&self.registry)
    }
}

#[derive(Clone)]
pub(crate) struct Client<T = Channel>(pub(crate) T);

impl<T> Client<T>
where
    T: GrpcService<Body> + Clone,
    T::ResponseBody: http_body::Body<Data = Bytes> + Send + 'static,
    <T::ResponseBody as http_body::Body>::Error: Into<BoxError> + Send,
{
    pub(crate) async fn call(&self, word: &str) -> Result<Response<String>, Status> {
        self.call_path("/test.v1.Probe/Do", Request::new(word.to_owned())).await
    }

    /// Calls the idempotent method.
    pub(crate) async fn get(&self, word: &str) -> Result<Response<String>, Status> {
        self.call_path("/test.v1.Probe/Get", Request::new(word.to_owned())).await
    }

    pub(crate) async fn call_path(
        &self,
        path: &'static str,
        request: Request<String>,
    ) -> Result<Response<String>, Status> {
        let mut grpc = self.grpc().await?;
        grpc.unary(request, path.parse().unwrap(), ProstCodec::<String, String>::default()).await
    }

    pub(crate) async fn watch(&self, word: &str) -> Result<Streaming<String>, Status> {
        let path = "/test.v1.Probe/Watch".parse().unwrap();
        let request = Request::new(word.to_owned());
        let codec = ProstCodec::<String, String>::default();
        Ok(self.grpc().await?.server_streaming(request, path, codec).await?.into_inner())
    }

    async fn grpc(&self) -> Result<tonic::client::Grpc<T>, Status> {
        let mut grpc = tonic::client::Grpc::new(self.0.clone());
        grpc.ready().await.map_err(|error| Status::new(Code::Unavailable, error.into().to_string()))?;
        Ok(grpc)
    }
}
