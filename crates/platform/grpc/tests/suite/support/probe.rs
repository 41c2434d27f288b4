//! A service whose behaviour the request selects.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use kennel_core::{ErrorKind, Principal, RepoError};
use kennel_grpc::{COMPRESSION, Details, GrpcChannel, fault, status};
use kennel_net::RequestContext;
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{
    FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions, ServiceDescriptorProto,
};
use tokio::sync::Semaphore;
use tonic::body::Body;
use tonic::server::{Grpc, NamedService};
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

type Words = Pin<Box<dyn futures_util::Stream<Item = Result<String, Status>> + Send>>;

/// Counters are semaphores, so that a test can wait for them.
#[derive(Clone)]
pub(crate) struct Probe {
    /// Calls that have started to wait.
    pub(crate) entered: Arc<Semaphore>,
    /// Calls that may continue.
    pub(crate) released: Arc<Semaphore>,
    /// Calls that were dropped while they waited.
    pub(crate) dropped: Arc<Semaphore>,
    /// All calls except for streams.
    calls: Arc<AtomicUsize>,
    /// Calls with the word "flaky" that fail.
    failures: Arc<AtomicUsize>,
    /// Where calls with the word "relay" go.
    next: Arc<OnceLock<super::Client<GrpcChannel>>>,
}

impl Default for Probe {
    fn default() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        Self {
            entered: none(),
            released: none(),
            dropped: none(),
            calls: Arc::default(),
            failures: Arc::default(),
            next: Arc::default(),
        }
    }
}

struct DropCounter(Option<Arc<Semaphore>>);

impl Drop for DropCounter {
    fn drop(&mut self) {
        if let Some(dropped) = &self.0 {
            dropped.add_permits(1);
        }
    }
}

/// Waits for the next increment of `semaphore`.
pub(crate) async fn next(semaphore: &Semaphore) {
    let wait = tokio::time::timeout(std::time::Duration::from_secs(10), semaphore.acquire());
    wait.await.expect("the event happens").unwrap().forget();
}

impl Probe {
    pub(crate) async fn entered(&self) {
        next(&self.entered).await;
    }

    pub(crate) async fn dropped(&self) {
        next(&self.dropped).await;
    }

    pub(crate) fn release(&self) {
        self.released.add_permits(1);
    }

    pub(crate) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(crate) fn fail_times(&self, times: usize) {
        self.failures.store(times, Ordering::SeqCst);
    }

    pub(crate) fn relay_to(&self, next: super::Client<GrpcChannel>) {
        self.next.set(next).ok().unwrap();
    }

    async fn wait(&self) {
        let mut dropped = DropCounter(Some(Arc::clone(&self.dropped)));
        self.entered.add_permits(1);
        self.released.acquire().await.unwrap().forget();
        dropped.0 = None;
    }

    async fn act(self, request: Request<String>) -> Result<Response<String>, Status> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if let Some(word) = request.get_ref().strip_prefix("relay ") {
            return self.next.get().unwrap().call(word).await;
        }
        match request.get_ref().as_str() {
            "flaky" => {
                let fails = self.failures.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
                let now = Details::default().retry_after(std::time::Duration::ZERO);
                if fails.is_ok() {
                    Err(status(ErrorKind::Unavailable, "", now))
                } else {
                    Ok(Response::new("flaky".to_owned()))
                }
            }
            "deadline" => {
                let deadline = RequestContext::current().unwrap().deadline().unwrap();
                let left = deadline.saturating_duration_since(tokio::time::Instant::now());
                Ok(Response::new(left.as_millis().to_string()))
            }
            "principal" => {
                let context = RequestContext::current().unwrap();
                let known = |principal: &Principal| {
                    format!("{} may write: {}", principal.subject(), principal.has_scope("probe:write"))
                };
                Ok(Response::new(context.principal().map_or_else(|| "nobody".to_owned(), known)))
            }
            "panic" => panic!("requested by the test"),
            "wait" => {
                self.wait().await;
                Ok(Response::new("waited".to_owned()))
            }
            "id" => Ok(Response::new(kennel_grpc::request_id().unwrap().to_string())),
            "invalid" => {
                let details = Details::default().field("word", "must be another");
                Err(status(ErrorKind::Invalid, "word: must be another", details))
            }
            "limited" => {
                let details = Details::default().retry_after(std::time::Duration::from_secs(90));
                Err(status(ErrorKind::RateLimited, "100 calls in an hour are allowed", details))
            }
            "fault" => {
                let error = RepoError::Backend("password=hunter2".into());
                Err(fault(ErrorKind::Internal, &error, Details::default()))
            }
            word => Ok(kennel_grpc::respond(word.to_owned())),
        }
    }

    fn watch(self, word: &str) -> Words {
        let word = word.to_owned();
        Box::pin(async_stream::stream! {
            yield Ok("one".to_owned());
            // Messages that are ready together share one frame; yielding sends "one" first.
            tokio::task::yield_now().await;
            match word.as_str() {
                "panic" => panic!("requested by the test"),
                "fail" => yield Err(status(ErrorKind::NotFound, "no two", Details::default())),
                "wait" => self.wait().await,
                _ => {}
            }
            yield Ok("two".to_owned());
        })
    }
}

impl NamedService for Probe {
    const NAME: &'static str = super::SERVICE;
}

impl Service<http::Request<Body>> for Probe {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let probe = self.clone();
        // What a layer does that authenticates callers.
        if let Some(subject) = request.headers().get("x-test-subject") {
            let principal = Principal::new(subject.to_str().unwrap(), ["probe:write"]);
            RequestContext::current().unwrap().set_principal(principal);
        }
        Box::pin(async move {
            let mut grpc = Grpc::new(ProstCodec::<String, String>::default())
                .accept_compressed(COMPRESSION)
                .send_compressed(COMPRESSION);
            Ok(match request.uri().path() {
                "/test.v1.Probe/Do" | "/test.v1.Probe/Get" => {
                    grpc.unary(service_fn(move |request| probe.clone().act(request)), request).await
                }
                "/test.v1.Probe/Watch" => {
                    let watch = move |request: Request<String>| {
                        let words = probe.clone().watch(request.get_ref());
                        async move { Ok::<_, Status>(Response::new(words)) }
                    };
                    grpc.server_streaming(service_fn(watch), request).await
                }
                _ => Status::unimplemented("").into_http(),
            })
        })
    }
}

/// Descriptors of the service, as a code generator would produce them.
pub(crate) fn descriptors() -> &'static [u8] {
    let idempotent =
        MethodOptions { idempotency_level: Some(IdempotencyLevel::NoSideEffects.into()), ..MethodOptions::default() };
    let method = |name: &str, server_streaming| MethodDescriptorProto {
        name: Some(name.to_owned()),
        input_type: Some(".google.protobuf.StringValue".to_owned()),
        output_type: Some(".google.protobuf.StringValue".to_owned()),
        server_streaming: Some(server_streaming),
        options: (name == "Get").then(|| idempotent.clone()),
        ..Default::default()
    };
    let service = ServiceDescriptorProto {
        name: Some("Probe".to_owned()),
        method: vec![method("Do", false), method("Get", false), method("Watch", true)],
        ..Default::default()
    };
    let file = FileDescriptorProto {
        name: Some("test/v1/probe.proto".to_owned()),
        package: Some("test.v1".to_owned()),
        service: vec![service],
        ..Default::default()
    };
    FileDescriptorSet { file: vec![file] }.encode_to_vec().leak()
}
