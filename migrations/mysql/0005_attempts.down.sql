DROP TABLE IF EXISTS inbox_attempts;
