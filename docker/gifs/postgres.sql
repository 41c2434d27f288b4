-- The databases of the GIF pipeline.
CREATE DATABASE gif_storage;
CREATE DATABASE gif_files;
