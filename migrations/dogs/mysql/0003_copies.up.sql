-- Checkpoints of the copies of other stores.

CREATE TABLE IF NOT EXISTS copies (
    source     VARBINARY(64) NOT NULL PRIMARY KEY,
    checkpoint TEXT          NOT NULL -- as JSON
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
