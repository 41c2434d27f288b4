-- GIFs, and the words by which they are found.

CREATE TABLE gifs (
    id          uuid   NOT NULL PRIMARY KEY,
    provider    text   NOT NULL,
    provider_id text   NOT NULL,
    rating      bigint NOT NULL, -- 0 is for everyone; a higher rating includes the lower ones
    details     text   NOT NULL, -- what the provider says, as JSON
    state       text   NOT NULL CHECK (state IN ('known', 'fetching', 'stored', 'refused')),
    facts       text,            -- what is known about the stored bytes, as JSON
    refusal     text,
    created_at  bigint NOT NULL,
    updated_at  bigint NOT NULL,
    UNIQUE (provider, provider_id)
);

CREATE INDEX gifs_state ON gifs (state, id);

CREATE TABLE gif_words (
    word   text NOT NULL,
    gif_id uuid NOT NULL REFERENCES gifs (id),
    PRIMARY KEY (word, gif_id)
);

CREATE INDEX gif_words_gif ON gif_words (gif_id);
