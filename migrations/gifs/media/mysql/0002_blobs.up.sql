-- Blobs, and what became of each GIF.

CREATE TABLE IF NOT EXISTS blobs (
    sha256     CHAR(64) NOT NULL PRIMARY KEY,
    `blob`     TEXT     NOT NULL, -- as JSON
    created_at BIGINT   NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- Either `sha256` or `refusal` is set.
CREATE TABLE IF NOT EXISTS outcomes (
    gif_id     BINARY(16)  NOT NULL PRIMARY KEY,
    url        TEXT        NOT NULL,
    sha256     CHAR(64),
    refusal    VARCHAR(40),
    detail     TEXT,
    decided_at BIGINT      NOT NULL,
    CHECK ((sha256 IS NULL) <> (refusal IS NULL)),
    KEY outcomes_sha256 (sha256, gif_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
