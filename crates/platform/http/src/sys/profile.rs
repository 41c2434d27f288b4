//! CPU profiles of the running process, in the format that `go tool pprof` and Grafana read.

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use kennel_core::ErrorKind;
use serde::Deserialize;
use tokio::sync::Semaphore;

use crate::extract::Query;
use crate::problem::HttpError;

/// Maximum duration of a profile.
const MAX_SECONDS: u64 = 60;
/// Allows one profile at a time, because the profiling timer is global to the process.
static PROFILER: Semaphore = Semaphore::const_new(1);

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ProfileParams {
    seconds: u64,
}

impl Default for ProfileParams {
    fn default() -> Self {
        Self { seconds: 10 }
    }
}

pub(super) fn routes() -> Router {
    Router::new().route("/debug/pprof/profile", get(profile))
}

async fn profile(Query(params): Query<ProfileParams>) -> Result<Response, HttpError> {
    if !(1..=MAX_SECONDS).contains(&params.seconds) {
        return Err(HttpError::invalid("seconds", format!("must be 1 to {MAX_SECONDS}")));
    }
    let Ok(_permit) = PROFILER.try_acquire() else {
        return Err(HttpError::new(ErrorKind::Conflict).with_detail("another profile is being recorded"));
    };
    record(params.seconds).await
}

#[cfg(not(feature = "pprof"))]
fn record(_: u64) -> std::future::Ready<Result<Response, HttpError>> {
    std::future::ready(Err(HttpError::new(ErrorKind::Unsupported)))
}

#[cfg(feature = "pprof")]
async fn record(seconds: u64) -> Result<Response, HttpError> {
    use axum::response::IntoResponse as _;
    use pprof::protos::Message as _;

    /// Samples per second. It divides no common period, so that sampling does not run in lockstep with periodic work.
    const FREQUENCY: i32 = 99;

    let internal = |error| HttpError::from_error(ErrorKind::Internal, error);
    let profiler = pprof::ProfilerGuardBuilder::default()
        .frequency(FREQUENCY)
        // The signal handler could deadlock on a lock that the interrupted code has taken in these libraries.
        .blocklist(&["ld-linux", "libc", "libgcc", "pthread", "vdso"])
        .build()
        .map_err(|error| internal(kennel_core::BoxError::from(error)))?;
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    let encode = tokio::task::spawn_blocking(move || {
        let profile = profiler.report().build()?.pprof()?;
        Ok::<_, pprof::Error>(profile.encode_to_vec())
    });
    let bytes = encode.await.map_err(|error| internal(error.into()))?;
    let bytes = bytes.map_err(|error| internal(error.into()))?;
    let disposition = (http::header::CONTENT_DISPOSITION, "attachment; filename=\"profile.pb\"");
    Ok(([disposition, (http::header::CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
}
