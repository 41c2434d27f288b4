-- Items, as a further kind of record:
-- `kind`        | `key`
-- item          | its id
ALTER TABLE record_versions
    ADD COLUMN IF NOT EXISTS text String DEFAULT '',
    ADD COLUMN IF NOT EXISTS created_at Int64 DEFAULT 0;
