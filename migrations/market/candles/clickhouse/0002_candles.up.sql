-- Books, candles and gaps, as further kinds of records:
-- `kind` | `key`
-- book   | venue/symbol
-- candle | venue/symbol/timeframe/start of the window
-- gap    | venue/symbol/first missing id
ALTER TABLE record_versions
    ADD COLUMN IF NOT EXISTS book_version Int64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS book         String DEFAULT '', -- which trades are there, as JSON
    ADD COLUMN IF NOT EXISTS candle       String DEFAULT '', -- as JSON
    ADD COLUMN IF NOT EXISTS gap          String DEFAULT ''; -- as JSON
