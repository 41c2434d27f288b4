DROP TABLE dead_letters;
DROP TABLE inbox;
DROP TABLE outbox_lease;
DROP TABLE outbox_place;
DROP TABLE outbox;
DROP SEQUENCE outbox_seq;
