DROP INDEX imports_used_at;
