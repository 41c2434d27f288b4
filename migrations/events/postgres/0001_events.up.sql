-- Event tables in the database of the data: pending and published events, the lease of the publishing process, receipts
-- of processed events, attempts to process them, and dead letters.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- No cache: numbers must rise in the order in which they are taken, whichever connection takes them.
CREATE SEQUENCE outbox_commit_seq CACHE 1;

CREATE TABLE outbox (
    commit_seq   bigint  NOT NULL, -- the order of changes
    ordinal      integer NOT NULL, -- the order within a change
    id           uuid    NOT NULL,
    name         text    NOT NULL,
    source       text    NOT NULL,
    topic        text    NOT NULL,
    key          text    NOT NULL,
    time         bigint  NOT NULL,
    content_type text    NOT NULL,
    data         bytea   NOT NULL,
    traceparent  text,
    tracestate   text,
    publish_seq  bigint, -- the order of publishing; null while the event is pending
    published_at bigint,
    PRIMARY KEY (commit_seq, ordinal),
    CHECK ((publish_seq IS NULL) = (published_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE UNIQUE INDEX outbox_pending_id ON outbox (id) WHERE publish_seq IS NULL;
CREATE INDEX outbox_pending ON outbox (commit_seq, ordinal) INCLUDE (time) WHERE publish_seq IS NULL;
CREATE INDEX outbox_published_id ON outbox (id, publish_seq) WHERE publish_seq IS NOT NULL;
CREATE UNIQUE INDEX outbox_publish_seq ON outbox (publish_seq) WHERE publish_seq IS NOT NULL;
CREATE INDEX outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;

-- The last publish_seq that was assigned. Marking events as published locks this row until the commit.
CREATE TABLE outbox_position (
    singleton   smallint PRIMARY KEY CHECK (singleton = 1),
    publish_seq bigint   NOT NULL
) WITH (fillfactor = 10);

INSERT INTO outbox_position (singleton, publish_seq) VALUES (1, 0);

CREATE TABLE outbox_lease (
    singleton  smallint PRIMARY KEY CHECK (singleton = 1),
    holder     uuid     NOT NULL,
    expires_at bigint   NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE inbox (
    group_name text   NOT NULL,
    event      uuid   NOT NULL,
    created_at bigint NOT NULL,
    PRIMARY KEY (group_name, event)
);

CREATE INDEX inbox_created_at ON inbox (created_at);

CREATE TABLE dead_letters (
    id           uuid   NOT NULL,
    group_name   text   NOT NULL COLLATE "C",
    name         text   NOT NULL,
    source       text   NOT NULL,
    topic        text   NOT NULL,
    key          text   NOT NULL,
    time         bigint NOT NULL,
    content_type text   NOT NULL,
    data         bytea  NOT NULL,
    traceparent  text,
    tracestate   text,
    attempts     bigint NOT NULL,
    reason       text   NOT NULL,
    created_at   bigint NOT NULL,
    PRIMARY KEY (id, group_name)
);

-- How many times a group has started to handle an event; see Inbox::count_attempt.
CREATE TABLE inbox_attempts (
    group_name      text   NOT NULL,
    event           uuid   NOT NULL,
    attempts        bigint NOT NULL,
    last_attempt_at bigint NOT NULL,
    PRIMARY KEY (group_name, event)
);

CREATE INDEX inbox_attempts_last_attempt_at ON inbox_attempts (last_attempt_at);
