-- Dogs, and the keys that make repeated requests and imports idempotent.

CREATE TABLE dogs (
    id         uuid   NOT NULL PRIMARY KEY,
    breed      text   NOT NULL COLLATE "C" CHECK (length(breed) BETWEEN 1 AND 64),
    name       text,
    image_url  text,
    photo_key  text,
    photo_type text,
    photo_size bigint CHECK (photo_size >= 0),
    thumbnail  text,
    revision   bigint NOT NULL CHECK (revision BETWEEN 1 AND 4294967295),
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    CHECK ((photo_key IS NULL) = (photo_type IS NULL) AND (photo_key IS NULL) = (photo_size IS NULL)),
    CHECK (thumbnail IS NULL OR photo_key IS NOT NULL)
);

CREATE INDEX dogs_breed ON dogs (breed, id);

CREATE TABLE idempotency_keys (
    key         text   NOT NULL PRIMARY KEY,
    fingerprint bytea  NOT NULL CHECK (length(fingerprint) = 32),
    snapshot    text   NOT NULL, -- the dog as it was created, as JSON
    used_at     bigint NOT NULL
);

CREATE INDEX idempotency_keys_used_at ON idempotency_keys (used_at);

CREATE TABLE imports (
    key        text   NOT NULL PRIMARY KEY,
    started_at bigint NOT NULL,
    lines      bigint NOT NULL CHECK (lines >= 0),
    digest     bytea  NOT NULL CHECK (length(digest) = 32),
    used_at    bigint NOT NULL
);
