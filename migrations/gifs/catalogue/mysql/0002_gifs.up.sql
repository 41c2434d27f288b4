-- GIFs, and the words by which they are found.

CREATE TABLE IF NOT EXISTS gifs (
    id          BINARY(16)   NOT NULL PRIMARY KEY,
    provider    VARCHAR(20)  NOT NULL,
    provider_id VARCHAR(100) NOT NULL,
    rating      BIGINT       NOT NULL, -- 0 is for everyone; a higher rating includes the lower ones
    details     MEDIUMTEXT   NOT NULL, -- what the provider says, as JSON
    state       VARCHAR(10)  NOT NULL CHECK (state IN ('known', 'fetching', 'stored', 'refused')),
    facts       TEXT,                  -- what is known about the stored bytes, as JSON
    refusal     VARCHAR(40),
    created_at  BIGINT       NOT NULL,
    updated_at  BIGINT       NOT NULL,
    UNIQUE KEY gifs_key (provider, provider_id),
    KEY gifs_state (state, id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS gif_words (
    word   VARCHAR(40) NOT NULL,
    gif_id BINARY(16)  NOT NULL,
    PRIMARY KEY (word, gif_id),
    KEY gif_words_gif (gif_id),
    CONSTRAINT gif_words_gif FOREIGN KEY (gif_id) REFERENCES gifs (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
