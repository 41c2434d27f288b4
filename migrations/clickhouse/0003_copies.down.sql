ALTER TABLE records DELETE WHERE what = 'copy' SETTINGS mutations_sync = 2;
ALTER TABLE records DROP COLUMN IF EXISTS bookmark SETTINGS mutations_sync = 2;
