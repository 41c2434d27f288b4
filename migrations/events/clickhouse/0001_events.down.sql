DROP TABLE IF EXISTS record_versions SYNC;
