//! The names of all metrics of the platform. Code that registers a metric and dashboards that query it use the same
//! constant, so that a rename cannot break a panel.

/// Declares the constants, and the list of all of them.
macro_rules! names {
    ($($(#[$doc:meta])+ $constant:ident = $name:literal;)+) => {
        $($(#[$doc])+ pub const $constant: &str = $name;)+

        /// Every name.
        pub const ALL: &[&str] = &[$($constant),+];
    };
}

names! {
    /// Counter of HTTP requests, by `method`, `route` and `status`.
    HTTP_REQUESTS = "http_requests_total";
    /// Histogram of the time until a response started, without the time in which the caller sent the request, by
    /// `method` and `route`.
    HTTP_DURATION = "http_request_duration_seconds";
    /// Gauge of HTTP requests whose response has not started.
    HTTP_IN_FLIGHT = "http_requests_in_flight";

    /// Gauge of the time at which the certificate of the servers expires, in seconds since 1970.
    TLS_EXPIRY = "tls_certificate_expiry_timestamp_seconds";
    /// Gauge: 1 while the files of the certificate are refused, and an older one is used.
    TLS_REFUSED = "tls_certificate_refused";
    /// Counter of changed certificates that were read, by `outcome`.
    TLS_RELOADS = "tls_certificate_reloads_total";
    /// Counter of TLS handshakes, by `outcome`.
    TLS_HANDSHAKES = "tls_handshakes_total";

    /// Counter of gRPC calls, by `service`, `method`, `code` and `fault`: who caused the failure, `none`, `caller` or
    /// `server`.
    GRPC_HANDLED = "grpc_server_handled_total";
    /// Histogram of the duration of calls, including streams, by `service`, `method` and `type`.
    GRPC_DURATION = "grpc_server_handling_seconds";
    /// Gauge of running calls, by `service` and `method`.
    GRPC_IN_FLIGHT = "grpc_server_in_flight";
    /// Gauge of open gRPC connections.
    GRPC_CONNECTIONS = "grpc_server_connections";

    /// Counter of requests that were refused before their handler, over HTTP and gRPC, by `reason`.
    AUTH_REFUSED = "auth_refused_total";
    /// Counter of reads of the keys that tokens are verified with, by `outcome`.
    AUTH_KEY_READS = "auth_key_reads_total";

    /// Counter of gRPC calls to other services, by `upstream`, `service`, `method` and `code`.
    GRPC_CLIENT_HANDLED = "grpc_client_handled_total";
    /// Histogram of the duration of these calls, including retries, by `upstream`, `service`, `method` and `type`.
    GRPC_CLIENT_DURATION = "grpc_client_handling_seconds";
    /// Gauge of these calls that are running, by `upstream`, `service` and `method`.
    GRPC_CLIENT_IN_FLIGHT = "grpc_client_in_flight";
    /// Counter of attempts after the first one, by `upstream`, `service` and `method`.
    GRPC_CLIENT_RETRIES = "grpc_client_retries_total";
    /// Gauge of the addresses of another service, by `upstream` and `state`.
    GRPC_CLIENT_ADDRESSES = "grpc_client_addresses";

    /// Histogram of calls to a database, by `backend`, `operation` and `outcome`.
    DATABASE_DURATION = "database_query_duration_seconds";
    /// Counter of failed database calls, by `backend` and `kind`.
    DATABASE_ERRORS = "database_errors_total";
    /// Gauge of open connections, by `backend` and `state`.
    DATABASE_CONNECTIONS = "database_connections";
    /// Histogram of the number of calls that were executed together, by `backend` and `operation`.
    DATABASE_BATCH_SIZE = "database_batch_size";
    /// Histogram of the time that calls waited for their batch to start, by `backend` and `operation`.
    DATABASE_BATCH_QUEUE = "database_batch_queue_seconds";

    /// Counter of requests to a cache, by `cache`, `tier` and `outcome`.
    CACHE_REQUESTS = "cache_requests_total";
    /// Counter of entries that could not be written, by `cache`, `tier` and `operation`.
    CACHE_WRITE_ERRORS = "cache_write_errors_total";
    /// Histogram of the duration of loads after a cache miss, by `cache` and `outcome`.
    CACHE_LOAD_DURATION = "cache_load_duration_seconds";
    /// Counter of requests that used the result of a concurrent load, by `cache`.
    CACHE_LOADS_SHARED = "cache_loads_shared_total";

    /// Counter of events published, by `topic` and `outcome`.
    BROKER_PUBLISHED = "broker_published_total";
    /// Histogram of publishing a batch, by `outcome`.
    BROKER_PUBLISH_DURATION = "broker_publish_duration_seconds";
    /// Gauge of events that a group has not settled, by `topic` and `group`.
    BROKER_CONSUMER_LAG = "broker_consumer_lag";
    /// Counter of deliveries, by `topic`, `group` and `outcome`.
    BROKER_CONSUMED = "broker_consumed_total";
    /// Counter of failed subscriptions, by `topic` and `group`.
    BROKER_SUBSCRIPTION_ERRORS = "broker_subscription_errors_total";
    /// Histogram of the duration of handler calls, by `group`.
    CONSUMER_DURATION = "consumer_handle_seconds";
    /// Histogram of the time from the creation of an event until a group has handled it, by `group`.
    CONSUMER_EVENT_AGE = "consumer_event_age_seconds";

    /// Gauge of events that are not published yet.
    OUTBOX_PENDING = "outbox_pending";
    /// Gauge of the age of the oldest event that is not published yet.
    OUTBOX_OLDEST = "outbox_oldest_seconds";
    /// Histogram of the time from the creation of an event until it is published.
    OUTBOX_RELAY = "outbox_relay_seconds";
    /// Counter of events that the relay published.
    OUTBOX_PUBLISHED = "outbox_published_total";
    /// Gauge that is 1 in the process that publishes the outbox.
    OUTBOX_LEADER = "outbox_leader";

    /// Histogram of operations on an object store, by `operation` and `outcome`.
    OBJECTS_DURATION = "objects_operation_duration_seconds";
    /// Counter of reads of objects that never change, by `outcome`: from memory, into it, or past it.
    OBJECTS_HOT_READS = "objects_hot_reads_total";
    /// Histogram of the duration of attempts to call an upstream, by `upstream` and `outcome`.
    UPSTREAM_DURATION = "upstream_request_duration_seconds";

    /// Gauge that is 1 while a dependency answers or a component makes progress, by `dependency` and `kind`.
    DEPENDENCY_UP = "dependency_up";
    /// Gauge with the running version, by `service`, `version` and `git_sha`; always 1.
    BUILD_INFO = "build_info";
    /// Gauge of the runtime's worker threads.
    TOKIO_WORKERS = "tokio_workers";
    /// Gauge of tasks that have not ended.
    TOKIO_ALIVE_TASKS = "tokio_alive_tasks";
    /// Gauge of tasks in the global queue.
    TOKIO_QUEUE_DEPTH = "tokio_global_queue_depth";
    /// Counter of the time that workers spent running tasks.
    TOKIO_BUSY = "tokio_busy_seconds_total";

    /// Counter of the CPU time of the process, in seconds.
    PROCESS_CPU = "process_cpu_seconds_total";
    /// Gauge of its resident memory, in bytes.
    PROCESS_MEMORY = "process_resident_memory_bytes";
    /// Gauge of its open file descriptors.
    PROCESS_OPEN_FDS = "process_open_fds";
    /// Gauge of the maximum number of its open file descriptors.
    PROCESS_MAX_FDS = "process_max_fds";
    /// Gauge of its threads.
    PROCESS_THREADS = "process_threads";
    /// Gauge of its start time, in seconds since 1970.
    PROCESS_START = "process_start_time_seconds";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_well_formed() {
        for (index, name) in ALL.iter().enumerate() {
            assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert!(!ALL[index + 1..].contains(name), "{name} is there twice");
        }
    }
}
