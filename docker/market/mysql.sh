# The databases of the market analytics. The entry point of the image sources this file.
docker_process_sql <<SQL
CREATE DATABASE market_preprocessor;
CREATE DATABASE market_auth;
GRANT ALL ON market_preprocessor.* TO '$MYSQL_USER'@'%';
GRANT ALL ON market_auth.* TO '$MYSQL_USER'@'%';
SQL
