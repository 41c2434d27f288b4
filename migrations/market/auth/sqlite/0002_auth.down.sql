DROP TABLE signing_keys;
DROP TABLE sessions;
DROP TABLE roles;
DROP TABLE accounts;
