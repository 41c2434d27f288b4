ALTER TABLE record_versions DELETE WHERE kind = 'copy' SETTINGS mutations_sync = 2;
ALTER TABLE record_versions DROP COLUMN IF EXISTS checkpoint SETTINGS mutations_sync = 2;
