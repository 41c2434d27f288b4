DROP TABLE inbox_attempts;
DROP TABLE dead_letters;
DROP TABLE inbox;
DROP TABLE outbox_lease;
DROP TABLE outbox_position;
DROP TABLE outbox;
DROP SEQUENCE outbox_commit_seq;
