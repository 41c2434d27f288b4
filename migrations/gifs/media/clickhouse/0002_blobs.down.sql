ALTER TABLE record_versions DELETE WHERE kind IN ('blob', 'outcome', 'blob_url') SETTINGS mutations_sync = 2;
ALTER TABLE record_versions
    DROP COLUMN IF EXISTS blob,
    DROP COLUMN IF EXISTS url,
    DROP COLUMN IF EXISTS sha256,
    DROP COLUMN IF EXISTS refusal,
    DROP COLUMN IF EXISTS detail,
    DROP COLUMN IF EXISTS decided_at
    SETTINGS mutations_sync = 2;
