ALTER TABLE record_versions DELETE WHERE kind = 'item' SETTINGS mutations_sync = 2;
ALTER TABLE record_versions
    DROP COLUMN IF EXISTS text,
    DROP COLUMN IF EXISTS created_at
    SETTINGS mutations_sync = 2;
