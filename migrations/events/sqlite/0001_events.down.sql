DROP TABLE inbox_attempts;
DROP TABLE dead_letters;
DROP TABLE inbox;
DROP TABLE outbox_lease;
DROP TABLE outbox;
