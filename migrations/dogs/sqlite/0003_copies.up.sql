-- Checkpoints of the copies of other stores.

CREATE TABLE copies (
    source     TEXT NOT NULL PRIMARY KEY,
    checkpoint TEXT NOT NULL -- as JSON
) STRICT, WITHOUT ROWID;
