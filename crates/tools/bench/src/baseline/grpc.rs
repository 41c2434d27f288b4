//! tonic without layers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use anyhow::Context as _;
use axum::routing::get;
use axum::{extract::Request, http::StatusCode};
use kennel_proto::dogs::v1::{GetDogRequest, GetDogResponse};
use prost::Message as _;
use tokio::net::TcpListener;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic_prost::ProstCodec;
use tower::Service;

/// Serves `GetDog` with the same message for every call, and `/ready`.
pub(super) async fn serve(listener: TcpListener, message: &str) -> anyhow::Result<()> {
    let message: Vec<u8> = serde_json::from_str(message).context("the message is no array of bytes")?;
    let message = GetDogResponse::decode(&*message)?;
    let routes = Routes::new(BareDogs(Arc::new(message))).into_axum_router();
    let routes = routes.route("/ready", get(async || StatusCode::OK));
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    let server = tonic::transport::Server::builder().accept_http1(true).add_routes(routes.into());
    Ok(server.serve_with_incoming(incoming).await?)
}

/// What tonic generates for a service, with one method.
#[derive(Clone)]
struct BareDogs(Arc<GetDogResponse>);

impl NamedService for BareDogs {
    const NAME: &'static str = "dogs.v1.DogService";
}

impl UnaryService<GetDogRequest> for BareDogs {
    type Response = GetDogResponse;
    type Future = Ready<Result<tonic::Response<GetDogResponse>, tonic::Status>>;

    fn call(&mut self, _: tonic::Request<GetDogRequest>) -> Self::Future {
        ready(Ok(tonic::Response::new(GetDogResponse::clone(&self.0))))
    }
}

impl Service<Request<Body>> for BareDogs {
    type Response = axum::http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let dogs = self.clone();
        let mut grpc = Grpc::new(ProstCodec::<GetDogResponse, GetDogRequest>::default());
        Box::pin(async move { Ok(grpc.unary(dogs, request).await) })
    }
}
