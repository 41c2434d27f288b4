-- Accounts, roles, sessions and signing keys. Times are milliseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS accounts (
    id         BINARY(16)    NOT NULL PRIMARY KEY,
    kind       VARCHAR(10)   NOT NULL CHECK (kind IN ('user', 'service')),
    name       VARCHAR(64)   NOT NULL UNIQUE,
    credential VARCHAR(200)  NOT NULL, -- the hash of the password or the secret
    roles      VARCHAR(2100) NOT NULL, -- separated by spaces
    disabled   BIGINT        NOT NULL CHECK (disabled IN (0, 1)),
    epoch      BIGINT        NOT NULL, -- how often its sessions were ended
    created_at BIGINT        NOT NULL,
    updated_at BIGINT        NOT NULL
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS roles (
    name        VARCHAR(64)   NOT NULL PRIMARY KEY,
    permissions VARCHAR(8500) NOT NULL -- separated by spaces
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

-- A session is a family of refresh tokens, of which only the one of the current generation is valid.
CREATE TABLE IF NOT EXISTS sessions (
    id         BINARY(16) NOT NULL PRIMARY KEY,
    account_id BINARY(16) NOT NULL,
    epoch      BIGINT     NOT NULL, -- that of the account when it began; with another one it has ended
    generation BIGINT     NOT NULL,
    created_at BIGINT     NOT NULL,
    rotated_at BIGINT     NOT NULL,
    idle_until BIGINT     NOT NULL,
    ends_at    BIGINT     NOT NULL,
    revoked_at BIGINT     NOT NULL, -- 0: it is not
    INDEX sessions_account (account_id),
    INDEX sessions_end (ends_at),
    FOREIGN KEY (account_id) REFERENCES accounts (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS signing_keys (
    kid         VARCHAR(64)  NOT NULL PRIMARY KEY,
    public_key  VARCHAR(100) NOT NULL,
    private_key VARCHAR(300) NOT NULL, -- encrypted
    created_at  BIGINT       NOT NULL,
    retired_at  BIGINT       NOT NULL -- 0: it is not
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
