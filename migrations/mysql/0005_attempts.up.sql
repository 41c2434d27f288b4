-- How often a group has begun to handle an event, where that can be a repetition; see Inbox::begin.

CREATE TABLE IF NOT EXISTS inbox_attempts (
    group_name VARBINARY(512) NOT NULL,
    event      BINARY(16)     NOT NULL,
    attempts   BIGINT         NOT NULL,
    at         BIGINT         NOT NULL, -- of the last beginning
    PRIMARY KEY (group_name, event),
    KEY inbox_attempts_at (at)
) ENGINE = InnoDB;
