-- Items.

CREATE TABLE items (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    text       TEXT    NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    created_at INTEGER NOT NULL
) STRICT;
