-- How many times a group has started to handle an event; see Inbox::count_attempt.

CREATE TABLE inbox_attempts (
    group_name      text   NOT NULL,
    event           uuid   NOT NULL,
    attempts        bigint NOT NULL,
    last_attempt_at bigint NOT NULL,
    PRIMARY KEY (group_name, event)
);

CREATE INDEX inbox_attempts_last_attempt_at ON inbox_attempts (last_attempt_at);
