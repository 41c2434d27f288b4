-- Checkpoints of the copies of other stores.

CREATE TABLE copies (
    source     text NOT NULL PRIMARY KEY,
    checkpoint text NOT NULL -- as JSON
);
