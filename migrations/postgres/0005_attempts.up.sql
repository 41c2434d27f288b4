-- How often a group has begun to handle an event, where that can be a repetition; see Inbox::begin.

CREATE TABLE inbox_attempts (
    group_name text   NOT NULL,
    event      uuid   NOT NULL,
    attempts   bigint NOT NULL,
    at         bigint NOT NULL, -- of the last beginning
    PRIMARY KEY (group_name, event)
);

CREATE INDEX inbox_attempts_at ON inbox_attempts (at);
