-- Dogs, and the keys that make repeated requests and imports idempotent, as further kinds of records:
-- `kind`        | `key`
-- dog           | its id
-- breed         | breed/dog id: the index for pages of one breed
-- idempotency   | the caller's key
-- import        | the import's key
ALTER TABLE record_versions
    ADD COLUMN IF NOT EXISTS breed LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS name Nullable(String),
    ADD COLUMN IF NOT EXISTS image_url Nullable(String),
    ADD COLUMN IF NOT EXISTS photo_key Nullable(String),
    ADD COLUMN IF NOT EXISTS photo_type LowCardinality(Nullable(String)),
    ADD COLUMN IF NOT EXISTS photo_size Nullable(UInt64),
    ADD COLUMN IF NOT EXISTS thumbnail Nullable(String),
    ADD COLUMN IF NOT EXISTS revision UInt32 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS created_at Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS updated_at Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS fingerprint String DEFAULT '',
    ADD COLUMN IF NOT EXISTS snapshot String DEFAULT '',
    ADD COLUMN IF NOT EXISTS started_at Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS lines UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS digest String DEFAULT '';
-- For reports; the service reads the records themselves.
CREATE VIEW IF NOT EXISTS dogs AS
SELECT
    toUUID(key) AS id, breed, name, image_url, photo_key, photo_type, photo_size, thumbnail, revision,
    fromUnixTimestamp64Milli(created_at, 'UTC') AS created_at, fromUnixTimestamp64Milli(updated_at, 'UTC') AS updated_at
FROM record_versions FINAL
WHERE kind = 'dog';
