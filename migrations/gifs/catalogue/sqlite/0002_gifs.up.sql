-- GIFs, and the words by which they are found.

CREATE TABLE gifs (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    provider    TEXT    NOT NULL,
    provider_id TEXT    NOT NULL,
    rating      INTEGER NOT NULL, -- 0 is for everyone; a higher rating includes the lower ones
    details     TEXT    NOT NULL, -- what the provider says, as JSON
    state       TEXT    NOT NULL CHECK (state IN ('known', 'fetching', 'stored', 'refused')),
    facts       TEXT,             -- what is known about the stored bytes, as JSON
    refusal     TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    UNIQUE (provider, provider_id)
) STRICT;

CREATE INDEX gifs_state ON gifs (state, id);

CREATE TABLE gif_words (
    word   TEXT NOT NULL,
    gif_id BLOB NOT NULL REFERENCES gifs (id),
    PRIMARY KEY (word, gif_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX gif_words_gif ON gif_words (gif_id);
