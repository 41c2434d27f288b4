-- Dogs, and the keys that make repeated requests and imports idempotent.

CREATE TABLE IF NOT EXISTS dogs (
    id         BINARY(16)   NOT NULL PRIMARY KEY,
    breed      VARCHAR(64)  NOT NULL CHECK (CHAR_LENGTH(breed) >= 1),
    name       TEXT,
    image_url  TEXT,
    photo_key  TEXT,
    photo_type TEXT,
    photo_size BIGINT       CHECK (photo_size >= 0),
    thumbnail  TEXT,
    revision   INT UNSIGNED NOT NULL CHECK (revision >= 1),
    created_at BIGINT       NOT NULL,
    updated_at BIGINT       NOT NULL,
    KEY dogs_breed (breed, id),
    CHECK ((photo_key IS NULL) = (photo_type IS NULL) AND (photo_key IS NULL) = (photo_size IS NULL)),
    CHECK (thumbnail IS NULL OR photo_key IS NOT NULL)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS idempotency_keys (
    `key`       VARBINARY(1024) NOT NULL PRIMARY KEY,
    fingerprint BINARY(32)      NOT NULL,
    snapshot    MEDIUMTEXT      NOT NULL, -- the dog as it was created, as JSON
    used_at     BIGINT          NOT NULL,
    uses        BIGINT UNSIGNED NOT NULL,
    KEY idempotency_keys_used_at (used_at)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS imports (
    `key`      VARBINARY(1024) NOT NULL PRIMARY KEY,
    started_at BIGINT          NOT NULL,
    `lines`    BIGINT          NOT NULL CHECK (`lines` >= 0),
    digest     BINARY(32)      NOT NULL,
    used_at    BIGINT          NOT NULL
) ENGINE = InnoDB;
