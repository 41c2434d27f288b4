-- Items.

CREATE TABLE IF NOT EXISTS items (
    id         BINARY(16)    NOT NULL PRIMARY KEY,
    text       VARCHAR(2000) NOT NULL CHECK (CHAR_LENGTH(text) >= 1),
    created_at BIGINT        NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
