-- How many times a group has started to handle an event; see Inbox::count_attempt.

CREATE TABLE IF NOT EXISTS inbox_attempts (
    group_name      VARBINARY(512) NOT NULL,
    event           BINARY(16)     NOT NULL,
    attempts        BIGINT         NOT NULL,
    last_attempt_at BIGINT         NOT NULL,
    PRIMARY KEY (group_name, event),
    KEY inbox_attempts_last_attempt_at (last_attempt_at)
) ENGINE = InnoDB;
