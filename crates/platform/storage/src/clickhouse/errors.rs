//! Maps ClickHouse's error codes to [`RepoError`].

use clickhouse::error::Error;
use kennel_core::RepoError;

/// Maps an error of ClickHouse or of its driver.
pub fn classify(error: Error) -> RepoError {
    match &error {
        Error::Network(_) | Error::TimedOut => RepoError::Unavailable(error.into()),
        Error::BadResponse(text) => match code(text) {
            // TIMEOUT_EXCEEDED, READONLY, TOO_MANY_SIMULTANEOUS_QUERIES, SOCKET_TIMEOUT, NETWORK_ERROR, ABORTED,
            // MEMORY_LIMIT_EXCEEDED, TABLE_IS_READ_ONLY, NOT_ENOUGH_SPACE, TOO_MANY_PARTS, ALL_CONNECTION_TRIES_FAILED,
            // TOO_FEW_LIVE_REPLICAS, UNSATISFIED_QUORUM_FOR_PREVIOUS_WRITE, UNKNOWN_STATUS_OF_INSERT,
            // SESSION_IS_LOCKED, QUERY_WAS_CANCELLED, CANNOT_SCHEDULE_TASK, KEEPER_EXCEPTION An error without a code
            // comes from something between here and the server, such as a load balancer.
            Some(
                159 | 164 | 202 | 209 | 210 | 236 | 241 | 242 | 243 | 252 | 279 | 285 | 286 | 319 | 373 | 394 | 439
                | 999,
            )
            | None => RepoError::Unavailable(error.into()),
            // CHECKSUM_DOESNT_MATCH, CORRUPTED_DATA, CANNOT_DECOMPRESS
            Some(40 | 246 | 271) => RepoError::Corrupt(error.into()),
            Some(_) => RepoError::Backend(error.into()),
        },
        Error::Decompression(_) | Error::DataFormat(_) | Error::InvalidUtf8Encoding(_) | Error::NotEnoughData => {
            RepoError::Corrupt(error.into())
        }
        _ => RepoError::Backend(error.into()),
    }
}

/// Whether the server rejected a write because the server, the table or the user is read-only. Nothing was stored.
pub(super) fn is_read_only(error: &Error) -> bool {
    // READONLY, TABLE_IS_READ_ONLY
    matches!(error, Error::BadResponse(text) if matches!(code(text), Some(164 | 242)))
}

/// The number in `Code: 60. DB::Exception: …`.
fn code(text: &str) -> Option<u32> {
    let (_, rest) = text.split_once("Code: ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_mapped_by_whether_a_retry_can_help() {
        let class = |text: &str| classify(Error::BadResponse(text.to_owned()));
        let full = class("Code: 243. DB::Exception: Cannot reserve 1.00 MiB. (NOT_ENOUGH_SPACE) (version 26.9)");
        assert!(matches!(full, RepoError::Unavailable(_)));
        assert!(matches!(class("502 Bad Gateway"), RepoError::Unavailable(_)));
        assert!(matches!(class("Code: 246. DB::Exception: Corrupted"), RepoError::Corrupt(_)));
        assert!(matches!(class("Code: 60. DB::Exception: Table a.b does not exist"), RepoError::Backend(_)));
        assert!(matches!(classify(Error::TimedOut), RepoError::Unavailable(_)));
    }
}
