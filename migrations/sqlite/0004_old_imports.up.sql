-- Old imports are found without a walk through all of them.

CREATE INDEX imports_used_at ON imports (used_at);
