SET @stmt = IF(
    EXISTS (SELECT 1 FROM information_schema.statistics
            WHERE table_schema = DATABASE() AND table_name = 'imports' AND index_name = 'imports_used_at'),
    'DROP INDEX imports_used_at ON imports', 'DO 0');
PREPARE stmt FROM @stmt;
EXECUTE stmt;
DEALLOCATE PREPARE stmt;
