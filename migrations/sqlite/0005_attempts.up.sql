-- How often a group has begun to handle an event, where that can be a repetition; see Inbox::begin.

CREATE TABLE inbox_attempts (
    group_name TEXT    NOT NULL,
    event      BLOB    NOT NULL CHECK (length(event) = 16),
    attempts   INTEGER NOT NULL,
    at         INTEGER NOT NULL, -- of the last beginning
    PRIMARY KEY (group_name, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX inbox_attempts_at ON inbox_attempts (at);
