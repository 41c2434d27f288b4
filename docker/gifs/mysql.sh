# The databases of the GIF pipeline. The entry point of the image sources this file.
docker_process_sql <<SQL
CREATE DATABASE gif_storage;
CREATE DATABASE gif_files;
GRANT ALL ON gif_storage.* TO '$MYSQL_USER'@'%';
GRANT ALL ON gif_files.* TO '$MYSQL_USER'@'%';
SQL
