-- Books, candles and gaps. Decimals are canonical text, times are microseconds since the Unix epoch.

CREATE TABLE IF NOT EXISTS books (
    venue        VARCHAR(20) NOT NULL,
    symbol       VARCHAR(40) NOT NULL,
    version      BIGINT      NOT NULL,
    state        MEDIUMTEXT  NOT NULL, -- which trades are there, as JSON
    PRIMARY KEY (venue, symbol)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS candles (
    venue        VARCHAR(20) NOT NULL,
    symbol       VARCHAR(40) NOT NULL,
    timeframe    VARCHAR(20) NOT NULL,
    open_time    BIGINT      NOT NULL,
    revision     BIGINT      NOT NULL,
    is_final     BIGINT      NOT NULL,
    is_complete  BIGINT      NOT NULL,
    open         VARCHAR(60) NOT NULL,
    high         VARCHAR(60) NOT NULL,
    low          VARCHAR(60) NOT NULL,
    close        VARCHAR(60) NOT NULL,
    volume       VARCHAR(60) NOT NULL,
    quote_volume VARCHAR(60) NOT NULL,
    buy_volume   VARCHAR(60) NOT NULL,
    trades       BIGINT      NOT NULL,
    first_id     BIGINT      NOT NULL,
    last_id      BIGINT      NOT NULL,
    updated      BIGINT      NOT NULL,
    PRIMARY KEY (venue, symbol, timeframe, open_time)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;

CREATE TABLE IF NOT EXISTS gaps (
    venue        VARCHAR(20) NOT NULL,
    symbol       VARCHAR(40) NOT NULL,
    from_id      BIGINT      NOT NULL,
    to_id        BIGINT      NOT NULL,
    after_time   BIGINT      NOT NULL,
    before_time  BIGINT      NOT NULL,
    missing      BIGINT      NOT NULL,
    revision     BIGINT      NOT NULL,
    state        VARCHAR(10) NOT NULL CHECK (state IN ('open', 'given_up', 'healed')),
    PRIMARY KEY (venue, symbol, from_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin;
