-- How far copies of other stores have come.

CREATE TABLE IF NOT EXISTS copies (
    source   VARBINARY(64) NOT NULL PRIMARY KEY,
    bookmark TEXT          NOT NULL -- as JSON
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
