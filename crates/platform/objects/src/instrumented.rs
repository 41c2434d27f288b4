//! Decorator that records metrics and a span for every call to an object store.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{ObjectKey, ObjectStore};
use kennel_telemetry::metrics::{LatencyHistogram, names};
use prometheus::Registry;
use tokio::time::Instant;
use tracing::Instrument as _;

/// Metrics of an object store. Cheap to clone; every clone feeds the same series.
#[derive(Debug, Clone)]
pub struct ObjectMetrics {
    duration: LatencyHistogram,
}

/// Operation of an object store; a metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Put,
    Get,
    Head,
    Delete,
    List,
    Presign,
}

impl Operation {
    const fn label(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
            Self::Presign => "presign",
        }
    }
}

impl ObjectMetrics {
    /// Registers the metrics.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let duration = LatencyHistogram::register(
            registry,
            names::OBJECTS_DURATION,
            "Duration of an operation on the object store; of a get, until its first bytes can be read",
            &["operation", "outcome"],
        )?;
        Ok(Self { duration })
    }
}

/// An object store whose calls are recorded in metrics and spans.
#[derive(Clone)]
pub struct InstrumentedObjectStore {
    inner: Arc<dyn ObjectStore>,
    metrics: ObjectMetrics,
}

impl InstrumentedObjectStore {
    /// Wraps `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>, metrics: ObjectMetrics) -> Self {
        Self { inner, metrics }
    }

    async fn instrument<T>(
        &self,
        operation: Operation,
        span: tracing::Span,
        work: impl Future<Output = Result<T, ObjectError>> + Send,
    ) -> Result<T, ObjectError> {
        let began = Instant::now();
        let done = work.instrument(span.clone()).await;
        let outcome = match &done {
            Ok(_) => "ok",
            Err(ObjectError::TooLarge { .. } | ObjectError::Body(_)) => "refused",
            Err(_) => "error",
        };
        if outcome == "error" {
            span.record("otel.status_code", "ERROR");
        }
        span.in_scope(|| self.metrics.duration.observe(&[operation.label(), outcome], began.elapsed()));
        done
    }
}

/// Creates the span of a call.
macro_rules! span {
    ($operation:literal, $($field:tt)+) => {
        tracing::info_span!(
            concat!("objects.", $operation),
            otel.kind = "client",
            otel.status_code = tracing::field::Empty,
            $($field)+
        )
    };
}

#[async_trait]
impl ObjectStore for InstrumentedObjectStore {
    async fn put(&self, key: &ObjectKey, body: ByteStream, options: &PutOptions) -> Result<ObjectMeta, ObjectError> {
        let span = span!("put", object.key = %key);
        self.instrument(Operation::Put, span, self.inner.put(key, body, options)).await
    }

    async fn get(
        &self,
        key: &ObjectKey,
        range: Option<Range<u64>>,
    ) -> Result<Option<(ObjectMeta, ByteStream)>, ObjectError> {
        let span = span!("get", object.key = %key);
        self.instrument(Operation::Get, span, self.inner.get(key, range)).await
    }

    async fn head(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>, ObjectError> {
        let span = span!("head", object.key = %key);
        self.instrument(Operation::Head, span, self.inner.head(key)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<bool, ObjectError> {
        let span = span!("delete", object.key = %key);
        self.instrument(Operation::Delete, span, self.inner.delete(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ObjectMeta>, ObjectError> {
        let span = span!("list", object.prefix = prefix);
        self.instrument(Operation::List, span, self.inner.list(prefix, after, limit)).await
    }

    async fn presign(&self, key: &ObjectKey, ttl: Duration) -> Result<Option<String>, ObjectError> {
        let span = span!("presign", object.key = %key);
        self.instrument(Operation::Presign, span, self.inner.presign(key, ttl)).await
    }

    async fn ping(&self) -> Result<(), ObjectError> {
        self.inner.ping().await
    }
}
