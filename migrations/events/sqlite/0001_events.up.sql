-- Event tables in the database of the data: pending and published events, the lease of the publishing process, receipts
-- of processed events, attempts to process them, and dead letters.
-- Times are milliseconds since 1970-01-01T00:00:00Z; ids are the 16 bytes of a UUID.

CREATE TABLE outbox (
    commit_seq   INTEGER PRIMARY KEY, -- the order of commits
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    name         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    time         INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    data         BLOB    NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    publish_seq  INTEGER, -- the order of publishing; null while the event is pending
    published_at INTEGER,
    CHECK ((publish_seq IS NULL) = (published_at IS NULL))
) STRICT;

CREATE INDEX outbox_id ON outbox (id);
CREATE UNIQUE INDEX outbox_pending_id ON outbox (id) WHERE publish_seq IS NULL;
CREATE INDEX outbox_pending ON outbox (commit_seq, time, publish_seq) WHERE publish_seq IS NULL;
CREATE UNIQUE INDEX outbox_publish_seq ON outbox (publish_seq) WHERE publish_seq IS NOT NULL;
CREATE INDEX outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;

CREATE TABLE outbox_lease (
    singleton  INTEGER PRIMARY KEY CHECK (singleton = 1),
    holder     BLOB    NOT NULL CHECK (length(holder) = 16),
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE inbox (
    group_name TEXT    NOT NULL,
    event      BLOB    NOT NULL CHECK (length(event) = 16),
    created_at INTEGER NOT NULL,
    PRIMARY KEY (group_name, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_created_at ON inbox (created_at);

CREATE TABLE dead_letters (
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    group_name   TEXT    NOT NULL,
    name         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    time         INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    data         BLOB    NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    attempts     INTEGER NOT NULL,
    reason       TEXT    NOT NULL,
    created_at   INTEGER NOT NULL,
    PRIMARY KEY (id, group_name)
) STRICT;

-- How many times a group has started to handle an event; see Inbox::count_attempt.
CREATE TABLE inbox_attempts (
    group_name      TEXT    NOT NULL,
    event           BLOB    NOT NULL CHECK (length(event) = 16),
    attempts        INTEGER NOT NULL,
    last_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (group_name, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_attempts_last_attempt_at ON inbox_attempts (last_attempt_at);
