-- How far copies of other stores have come.

CREATE TABLE copies (
    source   text NOT NULL PRIMARY KEY,
    bookmark text NOT NULL -- as JSON
);
