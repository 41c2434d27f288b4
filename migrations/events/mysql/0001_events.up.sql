-- Event tables in the database of the data: pending and published events, the lease of the publishing process, receipts
-- of processed events, attempts to process them, and dead letters.
-- Times are milliseconds since 1970-01-01T00:00:00Z; ids are the 16 bytes of a UUID. Names that
-- callers choose are bytes, because MySQL compares text without its trailing blanks.

CREATE TABLE IF NOT EXISTS outbox (
    commit_seq   BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, -- the order of changes
    id           BINARY(16)      NOT NULL,
    name         TEXT            NOT NULL,
    source       TEXT            NOT NULL,
    topic        TEXT            NOT NULL,
    `key`        TEXT            NOT NULL,
    time         BIGINT          NOT NULL,
    content_type TEXT            NOT NULL,
    data         LONGBLOB        NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    publish_seq  BIGINT, -- the order of publishing; null while the event is pending
    published_at BIGINT,
    pending_id   BINARY(16) GENERATED ALWAYS AS (IF(publish_seq IS NULL, id, NULL)) STORED,
    UNIQUE KEY outbox_pending_id (pending_id),
    KEY outbox_publish_seq (publish_seq, commit_seq, time),
    KEY outbox_id (id, publish_seq),
    KEY outbox_published_at (published_at),
    CHECK ((publish_seq IS NULL) = (published_at IS NULL))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- The last publish_seq that was assigned. Marking events as published locks this row until the commit.
CREATE TABLE IF NOT EXISTS outbox_position (
    singleton   TINYINT NOT NULL PRIMARY KEY CHECK (singleton = 1),
    publish_seq BIGINT  NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO outbox_position (singleton, publish_seq) VALUES (1, 0);

-- Always one row. The lease is free once expires_at has passed.
CREATE TABLE IF NOT EXISTS outbox_lease (
    singleton  TINYINT    NOT NULL PRIMARY KEY CHECK (singleton = 1),
    holder     BINARY(16) NOT NULL,
    expires_at BIGINT     NOT NULL
) ENGINE = InnoDB;

INSERT IGNORE INTO outbox_lease (singleton, holder, expires_at) VALUES (1, REPEAT('\0', 16), -9223372036854775808);

CREATE TABLE IF NOT EXISTS inbox (
    group_name VARBINARY(512) NOT NULL,
    event      BINARY(16)     NOT NULL,
    created_at BIGINT         NOT NULL,
    PRIMARY KEY (group_name, event),
    KEY inbox_created_at (created_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS dead_letters (
    id           BINARY(16)     NOT NULL,
    group_name   VARBINARY(512) NOT NULL,
    name         TEXT           NOT NULL,
    source       TEXT           NOT NULL,
    topic        TEXT           NOT NULL,
    `key`        TEXT           NOT NULL,
    time         BIGINT         NOT NULL,
    content_type TEXT           NOT NULL,
    data         LONGBLOB       NOT NULL,
    traceparent  TEXT,
    tracestate   TEXT,
    attempts     INT UNSIGNED   NOT NULL,
    reason       TEXT           NOT NULL,
    created_at   BIGINT         NOT NULL,
    PRIMARY KEY (id, group_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- How many times a group has started to handle an event; see Inbox::count_attempt.
CREATE TABLE IF NOT EXISTS inbox_attempts (
    group_name      VARBINARY(512) NOT NULL,
    event           BINARY(16)     NOT NULL,
    attempts        BIGINT         NOT NULL,
    last_attempt_at BIGINT         NOT NULL,
    PRIMARY KEY (group_name, event),
    KEY inbox_attempts_last_attempt_at (last_attempt_at)
) ENGINE = InnoDB;
