-- Index to purge old imports without a full scan. MySQL has no CREATE INDEX IF NOT EXISTS.

SET @stmt = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'imports' AND index_name = 'imports_used_at'),
    'DO 0', 'CREATE INDEX imports_used_at ON imports (used_at)');
PREPARE stmt FROM @stmt;
EXECUTE stmt;
DEALLOCATE PREPARE stmt;
