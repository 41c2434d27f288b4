DROP TABLE imports;
DROP TABLE idempotency_keys;
DROP TABLE dogs;
