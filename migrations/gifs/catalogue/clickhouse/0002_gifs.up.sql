-- GIFs, as further kinds of records:
-- `kind`        | `key`
-- gif           | its id
-- gif_key       | provider/its id there
ALTER TABLE record_versions
    ADD COLUMN IF NOT EXISTS gif_id      String DEFAULT '',
    ADD COLUMN IF NOT EXISTS provider    LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS provider_id String DEFAULT '',
    ADD COLUMN IF NOT EXISTS rating      UInt8 DEFAULT 0, -- 0 is for everyone; a higher rating includes the lower ones
    ADD COLUMN IF NOT EXISTS details     String DEFAULT '', -- what the provider says, as JSON
    ADD COLUMN IF NOT EXISTS words       Array(String) DEFAULT [], -- the words by which it is found
    ADD COLUMN IF NOT EXISTS state       LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS facts       String DEFAULT '', -- what is known about the stored bytes, as JSON
    ADD COLUMN IF NOT EXISTS refusal     LowCardinality(String) DEFAULT '',
    ADD COLUMN IF NOT EXISTS created_at  Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS updated_at  Int64 DEFAULT 0;
