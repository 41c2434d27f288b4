-- One table of records, so that what belongs together is stored by one insert: ClickHouse has no transactions, but an
-- insert of one block into one table without partitions is stored whole or not at all.
--
-- `what` tells the kind of a record, `key` its place among its kind. Of several records with one place the latest
-- version counts; one that is deleted counts as absent. `version` is the number of the commit that wrote it. Each
-- commit names its number as the deduplication token of its insert, and the server takes the first insert of a token
-- alone: so of two processes that make the same commit at once, one does, and the other notices and goes on behind it.
-- `what`        | `key`
-- commit        | its number
-- event         | commit and place in it: the order of commits; deleted once it is published
-- published     | commit and place in it: the order of publishing
-- receipt       | event id/group
-- letter        | event id/group
-- lease         | outbox
-- Numbers in keys have 20 digits, places 6, so that text sorts as they do. Times are milliseconds since
-- 1970-01-01T00:00:00Z.
CREATE TABLE IF NOT EXISTS records (
    what              LowCardinality(String),
    key               String,
    version           UInt64,
    deleted           UInt8 DEFAULT 0,
    holder            String DEFAULT '', -- who made a commit or has the lease
    at                Int64 DEFAULT 0, -- when it was published, dealt with, given up on or used; until when a lease is held
    event_id          String DEFAULT '',
    event_name        LowCardinality(String) DEFAULT '',
    event_source      LowCardinality(String) DEFAULT '',
    event_topic       LowCardinality(String) DEFAULT '',
    event_key         String DEFAULT '',
    event_time        Int64 DEFAULT 0,
    event_data        String DEFAULT '',
    event_binary      UInt8 DEFAULT 0, -- whether the data is no text and stands in hexadecimal digits
    event_traceparent Nullable(String),
    event_tracestate  Nullable(String),
    event_group       String DEFAULT '', -- which group dealt with it or gave it up
    attempts          UInt32 DEFAULT 0,
    reason            String DEFAULT '',
    INDEX records_event_id event_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (what, key)
SETTINGS non_replicated_deduplication_window = 10000;
