-- Accounts, roles, sessions and signing keys. Times are milliseconds since the Unix epoch.

CREATE TABLE accounts (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    kind       TEXT    NOT NULL CHECK (kind IN ('user', 'service')),
    name       TEXT    NOT NULL UNIQUE,
    credential TEXT    NOT NULL, -- the hash of the password or the secret
    roles      TEXT    NOT NULL, -- separated by spaces
    disabled   INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    epoch      INTEGER NOT NULL, -- how often its sessions were ended
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE roles (
    name        TEXT NOT NULL PRIMARY KEY,
    permissions TEXT NOT NULL -- separated by spaces
) STRICT, WITHOUT ROWID;

-- A session is a family of refresh tokens, of which only the one of the current generation is valid.
CREATE TABLE sessions (
    id         BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    account_id BLOB    NOT NULL REFERENCES accounts (id),
    epoch      INTEGER NOT NULL, -- that of the account when it began; with another one it has ended
    generation INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    ends_at    INTEGER NOT NULL,
    revoked_at INTEGER NOT NULL -- 0: it is not
) STRICT;
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE signing_keys (
    kid         TEXT    NOT NULL PRIMARY KEY,
    public_key  TEXT    NOT NULL,
    private_key TEXT    NOT NULL, -- encrypted
    created_at  INTEGER NOT NULL,
    retired_at  INTEGER NOT NULL -- 0: it is not
) STRICT, WITHOUT ROWID;
