-- Checkpoints of the copies of other stores, as a further kind of record:
-- `kind`        | `key`
-- copy          | the name of the store that is copied; the checkpoint is JSON
ALTER TABLE record_versions ADD COLUMN IF NOT EXISTS checkpoint String DEFAULT '';
