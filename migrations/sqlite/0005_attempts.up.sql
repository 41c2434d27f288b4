-- How many times a group has started to handle an event; see Inbox::count_attempt.

CREATE TABLE inbox_attempts (
    group_name      TEXT    NOT NULL,
    event           BLOB    NOT NULL CHECK (length(event) = 16),
    attempts        INTEGER NOT NULL,
    last_attempt_at INTEGER NOT NULL,
    PRIMARY KEY (group_name, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_attempts_last_attempt_at ON inbox_attempts (last_attempt_at);
