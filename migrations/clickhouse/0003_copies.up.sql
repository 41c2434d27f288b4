-- How far copies of other stores have come, as a further kind of records:
-- `what`        | `key`
-- copy          | the name of the store that is copied; the bookmark is JSON
ALTER TABLE records ADD COLUMN IF NOT EXISTS bookmark String DEFAULT '';
