-- Blobs, and what became of each GIF.

CREATE TABLE blobs (
    sha256     TEXT    NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),
    blob       TEXT    NOT NULL, -- as JSON
    created_at INTEGER NOT NULL
) STRICT;

-- Either `sha256` or `refusal` is set.
CREATE TABLE outcomes (
    gif_id     BLOB    NOT NULL PRIMARY KEY CHECK (length(gif_id) = 16),
    url        TEXT    NOT NULL,
    sha256     TEXT,
    refusal    TEXT,
    detail     TEXT,
    decided_at INTEGER NOT NULL,
    CHECK ((sha256 IS NULL) <> (refusal IS NULL))
) STRICT;

CREATE INDEX outcomes_sha256 ON outcomes (sha256, gif_id) WHERE sha256 IS NOT NULL;
