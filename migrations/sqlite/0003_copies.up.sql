-- How far copies of other stores have come.

CREATE TABLE copies (
    source   TEXT NOT NULL PRIMARY KEY,
    bookmark TEXT NOT NULL -- as JSON
) STRICT, WITHOUT ROWID;
