//! `grpc.health.v1.Health`, backed by the readiness of the process.

use std::collections::BTreeSet;
use std::pin::Pin;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::sync::watch;
use tokio_stream::wrappers::WatchStream;
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// Full name of the service.
pub(crate) const SERVICE: &str = "grpc.health.v1.Health";

type Statuses = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

/// Reports the same status for the server as a whole (the empty name) and for each of its services.
pub(crate) struct ReadinessHealth {
    services: BTreeSet<String>,
    ready: watch::Receiver<bool>,
}

impl ReadinessHealth {
    pub(crate) fn new(services: BTreeSet<String>, ready: watch::Receiver<bool>) -> Self {
        Self { services, ready }
    }

    fn has_service(&self, service: &str) -> bool {
        service.is_empty() || self.services.contains(service)
    }
}

#[async_trait]
impl Health for ReadinessHealth {
    async fn check(&self, request: Request<HealthCheckRequest>) -> Result<Response<HealthCheckResponse>, Status> {
        if !self.has_service(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(response(serving(*self.ready.borrow()))))
    }

    type WatchStream = Statuses;

    /// For an unknown service the specification requires a stream that sends `SERVICE_UNKNOWN` and stays open.
    async fn watch(&self, request: Request<HealthCheckRequest>) -> Result<Response<Statuses>, Status> {
        let statuses: Statuses = if self.has_service(&request.get_ref().service) {
            Box::pin(WatchStream::new(self.ready.clone()).map(|ready| Ok(response(serving(ready)))))
        } else {
            let unknown = stream::iter([Ok(response(ServingStatus::ServiceUnknown))]);
            Box::pin(unknown.chain(stream::pending()))
        };
        Ok(Response::new(statuses))
    }
}

const fn serving(ready: bool) -> ServingStatus {
    if ready { ServingStatus::Serving } else { ServingStatus::NotServing }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}
