ALTER TABLE record_versions DELETE WHERE kind IN ('gif', 'gif_key') SETTINGS mutations_sync = 2;
ALTER TABLE record_versions
    DROP COLUMN IF EXISTS gif_id,
    DROP COLUMN IF EXISTS provider,
    DROP COLUMN IF EXISTS provider_id,
    DROP COLUMN IF EXISTS rating,
    DROP COLUMN IF EXISTS details,
    DROP COLUMN IF EXISTS words,
    DROP COLUMN IF EXISTS state,
    DROP COLUMN IF EXISTS facts,
    DROP COLUMN IF EXISTS refusal,
    DROP COLUMN IF EXISTS created_at,
    DROP COLUMN IF EXISTS updated_at
    SETTINGS mutations_sync = 2;
