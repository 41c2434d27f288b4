DROP TABLE inbox_attempts;
