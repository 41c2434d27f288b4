DROP VIEW IF EXISTS dogs;
ALTER TABLE record_versions DELETE WHERE kind IN ('dog', 'breed', 'idempotency', 'import') SETTINGS mutations_sync = 2;
ALTER TABLE record_versions
    DROP COLUMN IF EXISTS breed,
    DROP COLUMN IF EXISTS name,
    DROP COLUMN IF EXISTS image_url,
    DROP COLUMN IF EXISTS photo_key,
    DROP COLUMN IF EXISTS photo_type,
    DROP COLUMN IF EXISTS photo_size,
    DROP COLUMN IF EXISTS thumbnail,
    DROP COLUMN IF EXISTS revision,
    DROP COLUMN IF EXISTS created_at,
    DROP COLUMN IF EXISTS updated_at,
    DROP COLUMN IF EXISTS fingerprint,
    DROP COLUMN IF EXISTS snapshot,
    DROP COLUMN IF EXISTS started_at,
    DROP COLUMN IF EXISTS lines,
    DROP COLUMN IF EXISTS digest
    SETTINGS mutations_sync = 2;
