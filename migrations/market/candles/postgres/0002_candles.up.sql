-- Books, candles and gaps. Decimals are canonical text, times are microseconds since the Unix epoch.

CREATE TABLE books (
    venue        text   NOT NULL,
    symbol       text   NOT NULL,
    version      bigint NOT NULL,
    state        text   NOT NULL, -- which trades are there, as JSON
    PRIMARY KEY (venue, symbol)
);

CREATE TABLE candles (
    venue        text   NOT NULL,
    symbol       text   NOT NULL,
    timeframe    text   NOT NULL,
    open_time    bigint NOT NULL,
    revision     bigint NOT NULL,
    is_final     bigint NOT NULL,
    is_complete  bigint NOT NULL,
    open         text   NOT NULL,
    high         text   NOT NULL,
    low          text   NOT NULL,
    close        text   NOT NULL,
    volume       text   NOT NULL,
    quote_volume text   NOT NULL,
    buy_volume   text   NOT NULL,
    trades       bigint NOT NULL,
    first_id     bigint NOT NULL,
    last_id      bigint NOT NULL,
    updated      bigint NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe, open_time)
);

CREATE TABLE gaps (
    venue        text   NOT NULL,
    symbol       text   NOT NULL,
    from_id      bigint NOT NULL,
    to_id        bigint NOT NULL,
    after_time   bigint NOT NULL,
    before_time  bigint NOT NULL,
    missing      bigint NOT NULL,
    revision     bigint NOT NULL,
    state        text   NOT NULL CHECK (state IN ('open', 'given_up', 'healed')),
    PRIMARY KEY (venue, symbol, from_id)
);
