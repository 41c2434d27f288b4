//! gRPC through the gateway: calls, streams, deadlines, and refusals as statuses.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request};
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::access;
use crate::support::Gateway;

struct HealthServer {
    address: SocketAddr,
    reporter: tonic_health::server::HealthReporter,
    _server: JoinSet<()>,
}

async fn health_server() -> HealthServer {
    let (reporter, service) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = async move {
        Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await.unwrap();
    };
    HealthServer { address, reporter, _server: JoinSet::from_iter([server]) }
}

fn routes(upstream: SocketAddr) -> String {
    format!(
        "[limits.tight]\nrequests = 1\nwindow = \"24h\"\n\
         [upstreams.health]\nurls = [\"http://{upstream}\"]\nhttp2 = true\n\
         [[routes]]\nname = \"check\"\npath = \"/grpc.health.v1.Health/Check\"\nmethods = [\"POST\"]\nupstream = \"health\"\n\
         public = true\n\
         [[routes]]\nname = \"watch\"\npath = \"/grpc.health.v1.Health/Watch\"\nmethods = [\"POST\"]\nupstream = \"health\"\n\
         public = true\nstream = true\n\
         [[routes]]\nname = \"limited\"\npath = \"/grpc.health.v1.Health/Nope\"\nupstream = \"health\"\npublic = true\nlimit = \"tight\"\n"
    )
}

async fn channel(gateway: &Gateway) -> Channel {
    Channel::from_shared(format!("http://{}", gateway.http)).unwrap().connect().await.unwrap()
}

async fn client(gateway: &Gateway) -> HealthClient<Channel> {
    HealthClient::new(channel(gateway).await)
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

#[tokio::test]
async fn calls_and_their_trailers_pass() {
    let server = health_server().await;
    let gateway = Gateway::start(&routes(server.address), &[]).await;
    let mut client = client(&gateway).await;
    let health = client.check(of("")).await.unwrap().into_inner();
    assert_eq!(health.status, 1);
    let unknown = client.check(of("no.Such")).await.unwrap_err();
    assert_eq!((unknown.code(), unknown.message()), (Code::NotFound, "service not registered"));
}

#[tokio::test]
async fn refusals_are_statuses() {
    let server = health_server().await;
    let gateway = Gateway::start(&routes(server.address), &[]).await;
    let codes = async |path: &'static str| {
        let mut grpc = tonic::client::Grpc::new(channel(&gateway).await);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<HealthCheckRequest, HealthCheckRequest>::default();
        let answer = grpc.unary(Request::new(of("")), path.parse().unwrap(), codec).await;
        answer.unwrap_err().code()
    };
    assert_eq!(codes("/no.Such/Method").await, Code::NotFound);
    assert_eq!(codes("/grpc.health.v1.Health/Nope").await, Code::Unimplemented);
    assert_eq!(codes("/grpc.health.v1.Health/Nope").await, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_stream_lasts_until_the_gateway_stops() {
    let server = health_server().await;
    let gateway = Gateway::start(&routes(server.address), &[]).await;
    server.reporter.set_service_status("a", ServingStatus::NotServing).await;
    let mut stream = client(&gateway).await.watch(of("a")).await.unwrap().into_inner();
    assert_eq!(stream.message().await.unwrap().unwrap().status, 2);
    server.reporter.set_service_status("a", ServingStatus::Serving).await;
    assert_eq!(stream.message().await.unwrap().unwrap().status, 1);
    gateway.metric(r#"gateway_streams{kind="grpc"} 1"#).await;
    let (end, ()) = tokio::join!(tokio::time::timeout(Duration::from_secs(30), stream.message()), gateway.stop());
    assert_eq!(end.unwrap().unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_stream_ends_when_the_token_expires() {
    let (server, folder) = (health_server().await, tempfile::tempdir().unwrap());
    let routes = routes(server.address).replace("public = true\nstream", "scopes = []\nstream");
    let gateway = access::start(&folder, &routes).await;
    let mut client = client(&gateway).await;
    let mut stream = loop {
        let mut request = Request::new(of(""));
        request.metadata_mut().insert("authorization", access::for_a_moment().parse().unwrap());
        match client.watch(request).await {
            Ok(stream) => break stream.into_inner(),
            Err(refused) => assert_eq!(refused.code(), Code::Unauthenticated),
        }
    };
    let end = async {
        loop {
            if let Err(end) = stream.message().await {
                return end;
            }
        }
    };
    let end = tokio::time::timeout(Duration::from_secs(30), end).await.unwrap();
    assert_eq!(end.code(), Code::Unauthenticated);
}
