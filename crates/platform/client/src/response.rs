//! The response of an upstream, whose body is read as it arrives.

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use http::{HeaderMap, StatusCode};

use crate::attempt::Attempt;
use crate::error::ClientError;

/// A response with an accepted status. Its body ends at the timeout of the attempt and at the maximum size.
#[derive(Debug)]
pub struct Response {
    inner: reqwest::Response,
    attempt: Attempt,
    /// The bytes that the body may still have, and at most.
    left: u64,
    max_bytes: u64,
}

impl Response {
    pub(crate) fn new(inner: reqwest::Response, attempt: Attempt, max_bytes: u64) -> Self {
        Self { inner, attempt, left: max_bytes, max_bytes }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.inner.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.inner.headers()
    }

    /// Returns the next bytes of the body; `None` at its end. After an error, the rest of the body is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        let (inner, left, limit) = (&mut self.inner, &mut self.left, self.max_bytes);
        let next = self.attempt.run(async {
            let chunk = inner.chunk().await?;
            let length = chunk.as_ref().map_or(0, Bytes::len) as u64;
            *left = left.checked_sub(length).ok_or(ClientError::TooLarge { limit })?;
            Ok(chunk)
        });
        let chunk = next.await?;
        if chunk.is_none() {
            self.attempt.end(None);
        }
        Ok(chunk)
    }

    /// Returns the body as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, ClientError>> + Send {
        try_unfold(self, async |mut response| Ok(response.chunk().await?.map(|chunk| (chunk, response))))
    }

    /// Reads the complete body.
    pub async fn collect(mut self) -> Result<http::Response<Bytes>, ClientError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        let mut response = http::Response::new(body.freeze());
        *response.status_mut() = self.inner.status();
        *response.headers_mut() = std::mem::take(self.inner.headers_mut());
        Ok(response)
    }
}
