-- Accounts, roles, sessions and signing keys. Times are milliseconds since the Unix epoch.

CREATE TABLE accounts (
    id         uuid   NOT NULL PRIMARY KEY,
    kind       text   NOT NULL CHECK (kind IN ('user', 'service')),
    name       text   NOT NULL UNIQUE,
    credential text   NOT NULL, -- the hash of the password or the secret
    roles      text   NOT NULL, -- separated by spaces
    disabled   bigint NOT NULL CHECK (disabled IN (0, 1)),
    epoch      bigint NOT NULL, -- how often its sessions were ended
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL
);

CREATE TABLE roles (
    name        text NOT NULL PRIMARY KEY,
    permissions text NOT NULL -- separated by spaces
);

-- A session is a family of refresh tokens, of which only the one of the current generation is valid.
CREATE TABLE sessions (
    id         uuid   NOT NULL PRIMARY KEY,
    account_id uuid   NOT NULL REFERENCES accounts (id),
    epoch      bigint NOT NULL, -- that of the account when it began; with another one it has ended
    generation bigint NOT NULL,
    created_at bigint NOT NULL,
    rotated_at bigint NOT NULL,
    idle_until bigint NOT NULL,
    ends_at    bigint NOT NULL,
    revoked_at bigint NOT NULL -- 0: it is not
);
CREATE INDEX sessions_account ON sessions (account_id);
CREATE INDEX sessions_end ON sessions (ends_at);

CREATE TABLE signing_keys (
    kid         text   NOT NULL PRIMARY KEY,
    public_key  text   NOT NULL,
    private_key text   NOT NULL, -- encrypted
    created_at  bigint NOT NULL,
    retired_at  bigint NOT NULL -- 0: it is not
);
