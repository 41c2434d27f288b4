-- Events beside the data: what waits to be published, who publishes, what was dealt with, what was given up on.
-- Times are milliseconds since 1970-01-01T00:00:00Z; ids are the 16 bytes of a UUID.

CREATE TABLE outbox (
    seq          INTEGER PRIMARY KEY, -- the order of commits
    id           BLOB    NOT NULL CHECK (length(id) = 16),
    name         TEXT    NOT NULL,
    source       TEXT    NOT NULL,
    topic        TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    time         INTEGER NOT NULL,
    data         BLOB    NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    position     INTEGER, -- the order of publishing; null while it waits
    published_at INTEGER,
    CHECK ((position IS NULL) = (published_at IS NULL))
) STRICT;

CREATE INDEX outbox_id ON outbox (id);
CREATE UNIQUE INDEX outbox_waiting_id ON outbox (id) WHERE position IS NULL;
CREATE INDEX outbox_waiting ON outbox (seq, time, position) WHERE position IS NULL;
CREATE UNIQUE INDEX outbox_position ON outbox (position) WHERE position IS NOT NULL;
CREATE INDEX outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;

CREATE TABLE outbox_lease (
    one    INTEGER PRIMARY KEY CHECK (one = 1),
    holder BLOB    NOT NULL CHECK (length(holder) = 16),
    until  INTEGER NOT NULL
) STRICT;

CREATE TABLE inbox (
    group_name TEXT    NOT NULL,
    event      BLOB    NOT NULL CHECK (length(event) = 16),
    at         INTEGER NOT NULL,
    PRIMARY KEY (group_name, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_at ON inbox (at);

CREATE TABLE dead_letters (
    id          BLOB    NOT NULL CHECK (length(id) = 16),
    group_name  TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    source      TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    time        INTEGER NOT NULL,
    data        BLOB    NOT NULL,
    traceparent TEXT,
    tracestate  TEXT,
    attempts    INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (id, group_name)
) STRICT;
