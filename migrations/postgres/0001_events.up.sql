-- Events beside the data: what waits to be published, who publishes, what was dealt with, what was given up on.
-- Times are milliseconds since 1970-01-01T00:00:00Z.

-- Without a cache, so that numbers rise in the order in which they are taken, whichever connection takes them.
CREATE SEQUENCE outbox_seq CACHE 1;

CREATE TABLE outbox (
    seq          bigint  NOT NULL, -- the order of changes
    ordinal      integer NOT NULL, -- the order within a change
    id           uuid    NOT NULL,
    name         text    NOT NULL,
    source       text    NOT NULL,
    topic        text    NOT NULL,
    key          text    NOT NULL,
    time         bigint  NOT NULL,
    data         bytea   NOT NULL,
    traceparent  text,
    tracestate   text,
    position     bigint, -- the order of publishing; null while it waits
    published_at bigint,
    PRIMARY KEY (seq, ordinal),
    CHECK ((position IS NULL) = (published_at IS NULL))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);

CREATE UNIQUE INDEX outbox_waiting_id ON outbox (id) WHERE position IS NULL;
CREATE INDEX outbox_waiting ON outbox (seq, ordinal) INCLUDE (time) WHERE position IS NULL;
CREATE INDEX outbox_published_id ON outbox (id, position) WHERE position IS NOT NULL;
CREATE UNIQUE INDEX outbox_position ON outbox (position) WHERE position IS NOT NULL;
CREATE INDEX outbox_published_at ON outbox (published_at) WHERE published_at IS NOT NULL;

-- The last position that was given out; whoever marks events as published locks it.
CREATE TABLE outbox_place (
    one      smallint PRIMARY KEY CHECK (one = 1),
    position bigint   NOT NULL
) WITH (fillfactor = 10);

INSERT INTO outbox_place (one, position) VALUES (1, 0);

CREATE TABLE outbox_lease (
    one    smallint PRIMARY KEY CHECK (one = 1),
    holder uuid     NOT NULL,
    until  bigint   NOT NULL
) WITH (fillfactor = 10);

CREATE TABLE inbox (
    group_name text   NOT NULL,
    event      uuid   NOT NULL,
    at         bigint NOT NULL,
    PRIMARY KEY (group_name, event)
);

CREATE INDEX inbox_at ON inbox (at);

CREATE TABLE dead_letters (
    id          uuid   NOT NULL,
    group_name  text   NOT NULL COLLATE "C",
    name        text   NOT NULL,
    source      text   NOT NULL,
    topic       text   NOT NULL,
    key         text   NOT NULL,
    time        bigint NOT NULL,
    data        bytea  NOT NULL,
    traceparent text,
    tracestate  text,
    attempts    bigint NOT NULL,
    reason      text   NOT NULL,
    at          bigint NOT NULL,
    PRIMARY KEY (id, group_name)
);
