-- One table for all records, because one commit must be one insert: ClickHouse has no transactions, but it stores an
-- insert of one block into one table without partitions completely or not at all.
--
-- A record is identified by `kind` and `key`. The row with the highest `version` is the record; a record whose latest row
-- is deleted is absent. `version` is the number of the commit that wrote the row. Each commit names its number as the
-- deduplication token of its insert, and the server accepts only the first insert of a token: of two processes that
-- commit the same number at once, one succeeds, and the other notices and retries with the next number.
-- `kind`        | `key`
-- commit        | its number
-- event         | commit and position in it: the order of commits; deleted once the event is published
-- published     | commit and position in it: the order of publishing
-- receipt       | event id/group
-- attempts      | event id/group
-- dead_letter   | event id/group
-- lease         | outbox
-- Numbers in keys have 20 digits and positions 6, so that they sort as text. Times are milliseconds since
-- 1970-01-01T00:00:00Z.
CREATE TABLE IF NOT EXISTS record_versions (
    kind               LowCardinality(String),
    key                String,
    version            UInt64,
    deleted            UInt8 DEFAULT 0,
    holder             String DEFAULT '', -- the process that wrote the commit or has the lease
    recorded_at        Int64 DEFAULT 0, -- when it was published, processed, dead-lettered or last used
    expires_at         Int64 DEFAULT 0, -- when the lease ends
    event_id           String DEFAULT '',
    event_name         LowCardinality(String) DEFAULT '',
    event_source       LowCardinality(String) DEFAULT '',
    event_topic        LowCardinality(String) DEFAULT '',
    event_key          String DEFAULT '',
    event_time         Int64 DEFAULT 0,
    event_content_type LowCardinality(String) DEFAULT '',
    event_data         String DEFAULT '',
    event_binary       UInt8 DEFAULT 0, -- 1 if the data is not UTF-8 and is stored as hexadecimal digits
    event_traceparent  Nullable(String),
    event_tracestate   Nullable(String),
    event_group        String DEFAULT '', -- the group that dead-lettered it
    attempts           UInt32 DEFAULT 0,
    reason             String DEFAULT '',
    INDEX record_versions_event_id event_id TYPE bloom_filter GRANULARITY 1
)
ENGINE = ReplacingMergeTree(version, deleted)
ORDER BY (kind, key)
SETTINGS non_replicated_deduplication_window = 10000;
