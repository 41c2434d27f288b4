-- Index to purge old imports without a full scan.

CREATE INDEX imports_used_at ON imports (used_at);
