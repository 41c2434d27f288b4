-- Blobs and what became of each GIF, as further kinds of records:
-- `kind`        | `key`
-- blob          | its hash
-- outcome       | the id of the GIF
-- blob_url      | the hash and the id of the GIF, separated by a slash
ALTER TABLE record_versions
    ADD COLUMN IF NOT EXISTS blob String DEFAULT '',
    ADD COLUMN IF NOT EXISTS url String DEFAULT '',
    ADD COLUMN IF NOT EXISTS sha256 String DEFAULT '',
    ADD COLUMN IF NOT EXISTS refusal String DEFAULT '',
    ADD COLUMN IF NOT EXISTS detail String DEFAULT '',
    ADD COLUMN IF NOT EXISTS decided_at Int64 DEFAULT 0;
