//! The requests that are measured.

use std::net::SocketAddr;
use std::time::Duration;

use kennel_loadgen::{Load, get, post};

/// The number of concurrent callers.
pub(crate) const CALLERS: usize = 16;

/// The kind of request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// One dog from the cache: the cheapest request.
    Read,
    /// Twenty dogs from the database.
    List,
    /// A new dog, with its events.
    Create,
}

/// The result of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Measured {
    pub(crate) requests: u64,
    pub(crate) took: Duration,
    /// The processor time of the service.
    pub(crate) cpu: Duration,
}

impl Measured {
    /// Requests per second.
    #[expect(clippy::cast_precision_loss, reason = "a count of requests is small")]
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.took.as_secs_f64()
    }

    /// Microseconds of processor time per request.
    pub(crate) fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / (self.rate() * self.took.as_secs_f64())
    }
}

impl Work {
    pub(crate) const ALL: [Self; 3] = [Self::Read, Self::List, Self::Create];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Read => "read a dog",
            Self::List => "list 20 dogs",
            Self::Create => "create a dog",
        }
    }

    /// The bytes to send.
    pub(crate) fn request(self, dog: &str) -> Vec<u8> {
        match self {
            Self::Read => get(&format!("/api/v1/dogs/{dog}")),
            Self::List => get("/api/v1/dogs?limit=20"),
            Self::Create => post("/api/v1/dogs", "application/json", r#"{"breed":"husky"}"#),
        }
    }
}

/// Creates a dog; returns its id.
pub(crate) fn create(service: SocketAddr) -> String {
    let response = kennel_loadgen::send(service, &Work::Create.request("")).expect("the service responds");
    let dog: serde_json::Value = serde_json::from_slice(&response.body).expect("a dog is JSON");
    dog["id"].as_str().expect("a dog has an id").to_owned()
}

/// Sends `request` from every caller for the duration, and counts the responses.
pub(crate) fn run(service: SocketAddr, request: Vec<u8>, duration: Duration) -> u64 {
    let load = Load { server: service, callers: CALLERS, duration, interval: Duration::ZERO };
    let measured = load.run(&[request]).expect("the service responds");
    assert_eq!(measured.failed(), 0, "requests fail");
    measured.responses() as u64
}
