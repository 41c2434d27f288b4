-- Books, candles and gaps. Decimals are canonical text, times are microseconds since the Unix epoch.

CREATE TABLE books (
    venue   TEXT    NOT NULL,
    symbol  TEXT    NOT NULL,
    version INTEGER NOT NULL,
    state   TEXT    NOT NULL, -- which trades are there, as JSON
    PRIMARY KEY (venue, symbol)
) STRICT, WITHOUT ROWID;

CREATE TABLE candles (
    venue        TEXT    NOT NULL,
    symbol       TEXT    NOT NULL,
    timeframe    TEXT    NOT NULL,
    open_time    INTEGER NOT NULL,
    revision     INTEGER NOT NULL,
    is_final     INTEGER NOT NULL,
    is_complete  INTEGER NOT NULL,
    open         TEXT    NOT NULL,
    high         TEXT    NOT NULL,
    low          TEXT    NOT NULL,
    close        TEXT    NOT NULL,
    volume       TEXT    NOT NULL,
    quote_volume TEXT    NOT NULL,
    buy_volume   TEXT    NOT NULL,
    trades       INTEGER NOT NULL,
    first_id     INTEGER NOT NULL,
    last_id      INTEGER NOT NULL,
    updated      INTEGER NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe, open_time)
) STRICT, WITHOUT ROWID;

CREATE TABLE gaps (
    venue       TEXT    NOT NULL,
    symbol      TEXT    NOT NULL,
    from_id     INTEGER NOT NULL,
    to_id       INTEGER NOT NULL,
    after_time  INTEGER NOT NULL,
    before_time INTEGER NOT NULL,
    missing     INTEGER NOT NULL,
    revision    INTEGER NOT NULL,
    state       TEXT    NOT NULL CHECK (state IN ('open', 'given_up', 'healed')),
    PRIMARY KEY (venue, symbol, from_id)
) STRICT, WITHOUT ROWID;
