-- Events beside the data: what waits to be published, who publishes, what was dealt with, what was given up on.
-- Times are milliseconds since 1970-01-01T00:00:00Z; ids are the 16 bytes of a UUID. Names that callers choose are
-- bytes: text would be compared without the blanks at its end.

CREATE TABLE IF NOT EXISTS outbox (
    seq          BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, -- the order of changes
    id           BINARY(16)      NOT NULL,
    name         TEXT            NOT NULL,
    source       TEXT            NOT NULL,
    topic        TEXT            NOT NULL,
    `key`        TEXT            NOT NULL,
    time         BIGINT          NOT NULL,
    data         LONGBLOB        NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    position     BIGINT, -- the order of publishing; null while it waits
    published_at BIGINT,
    waiting_id   BINARY(16) GENERATED ALWAYS AS (IF(position IS NULL, id, NULL)) STORED,
    UNIQUE KEY outbox_waiting_id (waiting_id),
    KEY outbox_position (position, seq, time),
    KEY outbox_id (id, position),
    KEY outbox_published_at (published_at),
    CHECK ((position IS NULL) = (published_at IS NULL))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The last position that was given out; whoever marks events as published locks it.
CREATE TABLE IF NOT EXISTS outbox_place (
    one      TINYINT NOT NULL PRIMARY KEY CHECK (one = 1),
    position BIGINT  NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO outbox_place (one, position) VALUES (1, 0);

-- Always one row; nobody holds the lease once its time has passed.
CREATE TABLE IF NOT EXISTS outbox_lease (
    one    TINYINT    NOT NULL PRIMARY KEY CHECK (one = 1),
    holder BINARY(16) NOT NULL,
    until  BIGINT     NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO outbox_lease (one, holder, until) VALUES (1, REPEAT('\0', 16), -9223372036854775808);

CREATE TABLE IF NOT EXISTS inbox (
    group_name VARBINARY(512) NOT NULL,
    event      BINARY(16)     NOT NULL,
    at         BIGINT         NOT NULL,
    PRIMARY KEY (group_name, event),
    KEY inbox_at (at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS dead_letters (
    id          BINARY(16)     NOT NULL,
    group_name  VARBINARY(512) NOT NULL,
    name        TEXT           NOT NULL,
    source      TEXT           NOT NULL,
    topic       TEXT           NOT NULL,
    `key`       TEXT           NOT NULL,
    time        BIGINT         NOT NULL,
    data        LONGBLOB       NOT NULL,
    traceparent TEXT,
    tracestate  TEXT,
    attempts    INT UNSIGNED   NOT NULL,
    reason      TEXT           NOT NULL,
    at          BIGINT         NOT NULL,
    PRIMARY KEY (id, group_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
