-- Items.

CREATE TABLE items (
    id         uuid   NOT NULL PRIMARY KEY,
    text       text   NOT NULL CHECK (length(text) BETWEEN 1 AND 2000),
    created_at bigint NOT NULL
);
