-- Dogs, and the keys that make repeated requests and imports idempotent.

-- With a rowid: ids are inserted in any order, which is several times faster here than in a table ordered by id.
CREATE TABLE dogs (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    breed      TEXT    NOT NULL CHECK (length(breed) BETWEEN 1 AND 64),
    name       TEXT,
    image_url  TEXT,
    photo_key  TEXT,
    photo_type TEXT,
    photo_size INTEGER CHECK (photo_size >= 0),
    thumbnail  TEXT,
    revision   INTEGER NOT NULL CHECK (revision >= 1),
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    CHECK ((photo_key IS NULL) = (photo_type IS NULL) AND (photo_key IS NULL) = (photo_size IS NULL)),
    CHECK (thumbnail IS NULL OR photo_key IS NOT NULL)
) STRICT;

CREATE INDEX dogs_breed ON dogs (breed, id);

CREATE TABLE idempotency_keys (
    key         TEXT    NOT NULL PRIMARY KEY,
    fingerprint BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    snapshot    TEXT    NOT NULL, -- the dog as it was created, as JSON
    used_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_used_at ON idempotency_keys (used_at);

CREATE TABLE imports (
    key        TEXT    NOT NULL PRIMARY KEY,
    started_at INTEGER NOT NULL,
    lines      INTEGER NOT NULL CHECK (lines >= 0),
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    used_at    INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
