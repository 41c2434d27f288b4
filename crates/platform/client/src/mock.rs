//! A mock of a server, for the mocks that are generated from the contract of an API: its routes are the real ones, and its
//! answers are those that a test prepares.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::{io, mem};

use axum::Router;
use kennel_core::{ErrorKind, Failure, Principal};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The prepared answers of an operation, and the requests that it got.
#[derive(Debug)]
pub struct Answers<I, O> {
    operation: &'static str,
    state: Mutex<AnswerState<I, O>>,
}

#[derive(Debug)]
struct AnswerState<I, O> {
    answers: VecDeque<Result<O, Failure>>,
    requests: Vec<I>,
}

impl<I, O> Answers<I, O> {
    /// No answers.
    pub fn new(operation: &'static str) -> Self {
        Self { operation, state: Mutex::new(AnswerState { answers: VecDeque::new(), requests: Vec::new() }) }
    }

    fn state(&self) -> MutexGuard<'_, AnswerState<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an answer, after those that are there already.
    pub fn push(&self, answer: O) {
        self.state().answers.push_back(Ok(answer));
    }

    /// Adds a failure, such as an unavailable server.
    pub fn fail(&self, kind: ErrorKind) {
        self.state().answers.push_back(Err(Failure::new(kind, "a failure of the mock")));
    }

    /// Returns the requests since the last call.
    pub fn take_requests(&self) -> Vec<I> {
        mem::take(&mut self.state().requests)
    }

    /// The answer to a request. Without one, the response has the status 501.
    pub fn next(&self, request: I) -> Result<O, Failure> {
        let mut state = self.state();
        state.requests.push(request);
        let none = || Failure::new(ErrorKind::Unsupported, format!("{} has no answer", self.operation));
        state.answers.pop_front().unwrap_or_else(|| Err(none()))
    }
}

/// A server on a free port of this machine, until it is dropped.
#[derive(Debug)]
pub struct MockServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MockServer {
    /// Starts it.
    #[expect(clippy::disallowed_methods, reason = "the task ends when the server is dropped")]
    pub async fn start(routes: Router) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let task = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the mock ended");
            }
        });
        Ok(Self { address, task })
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The caller with the expected credential.
pub fn authenticate(expected: &str, given: &str) -> Result<Principal, Failure> {
    if given == expected {
        return Ok(Principal::new("mock", Vec::<String>::new()));
    }
    Err(Failure::new(ErrorKind::Unauthenticated, "the credential is another one"))
}
