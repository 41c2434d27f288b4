-- Blobs, and what became of each GIF.

CREATE TABLE blobs (
    sha256     text COLLATE "C" NOT NULL PRIMARY KEY CHECK (length(sha256) = 64),
    blob       text             NOT NULL, -- as JSON
    created_at bigint           NOT NULL
);

-- Either `sha256` or `refusal` is set.
CREATE TABLE outcomes (
    gif_id     uuid   NOT NULL PRIMARY KEY,
    url        text   NOT NULL,
    sha256     text COLLATE "C",
    refusal    text,
    detail     text,
    decided_at bigint NOT NULL,
    CHECK ((sha256 IS NULL) <> (refusal IS NULL))
);

CREATE INDEX outcomes_sha256 ON outcomes (sha256, gif_id) WHERE sha256 IS NOT NULL;
