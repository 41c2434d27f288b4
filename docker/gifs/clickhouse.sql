-- The databases of the GIF pipeline.
CREATE DATABASE IF NOT EXISTS gif_storage;
CREATE DATABASE IF NOT EXISTS gif_files;
