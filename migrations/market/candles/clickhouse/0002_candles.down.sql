ALTER TABLE record_versions DELETE WHERE kind IN ('book', 'candle', 'gap') SETTINGS mutations_sync = 2;
ALTER TABLE record_versions
    DROP COLUMN IF EXISTS book_version,
    DROP COLUMN IF EXISTS book,
    DROP COLUMN IF EXISTS candle,
    DROP COLUMN IF EXISTS gap
    SETTINGS mutations_sync = 2;
