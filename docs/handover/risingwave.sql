-- Candles of one minute in RisingWave, from the topic of trades. See ../handover.md.
--
-- Replace the hand-over time, 2030-01-01 00:00:00 UTC, in both places: a full minute, a few minutes from now. The engine writes no
-- candle of a minute before it.

-- The messages of market.v1 are described by crates/proto/src/gen/market.v1.binpb, which the engine reads from `schema.location`.
CREATE SOURCE trades (
    *,
    -- The second is enough to find the minute, and an integer is exact.
    traded_at TIMESTAMPTZ AS to_timestamp(time_us / 1000000),
    WATERMARK FOR traded_at AS traded_at - INTERVAL '60 seconds'
) WITH (
    connector = 'kafka',
    topic = 'market.trades.v1',
    properties.bootstrap.server = 'kafka:9092',
    -- Two minutes before the hand-over time, in milliseconds.
    scan.startup.mode = 'timestamp',
    scan.startup.timestamp.millis = '1893455880000'
) FORMAT PLAIN ENCODE PROTOBUF (
    message = 'market.v1.Trade',
    schema.location = 'https://artifacts.example.com/market.v1.binpb'
);

-- The columns are those of the table `candles` of market-preprocessor.
CREATE MATERIALIZED VIEW candles_1m AS
WITH once AS (
    -- The topic may have a trade several times: after a collector was restarted, or from several collectors.
    SELECT
        venue,
        symbol,
        trade_id,
        window_start,
        min(CAST(price AS NUMERIC)) AS price,
        min(CAST(size AS NUMERIC)) AS size,
        min(taker_side) AS taker_side,
        min(received_us) AS received_us
    FROM TUMBLE(trades, traded_at, INTERVAL '1 minute')
    WHERE window_start >= TIMESTAMPTZ '2030-01-01 00:00:00+00'
    GROUP BY venue, symbol, trade_id, window_start
)
SELECT
    venue,
    symbol,
    CAST('1m' AS VARCHAR) AS timeframe,
    CAST(extract(epoch FROM window_start) * 1000000 AS BIGINT) AS open_time,
    CAST(1 AS BIGINT) AS is_final,
    CAST(CASE WHEN count(*) = max(trade_id) - min(trade_id) + 1 THEN 1 ELSE 0 END AS BIGINT) AS is_complete,
    -- Canonical text: a number with a point, without the zeros at its end.
    rtrim(rtrim(CAST((array_agg(price ORDER BY trade_id))[1] + 0.0 AS VARCHAR), '0'), '.') AS open,
    rtrim(rtrim(CAST(max(price) + 0.0 AS VARCHAR), '0'), '.') AS high,
    rtrim(rtrim(CAST(min(price) + 0.0 AS VARCHAR), '0'), '.') AS low,
    rtrim(rtrim(CAST((array_agg(price ORDER BY trade_id DESC))[1] + 0.0 AS VARCHAR), '0'), '.') AS close,
    rtrim(rtrim(CAST(sum(size) + 0.0 AS VARCHAR), '0'), '.') AS volume,
    rtrim(rtrim(CAST(sum(price * size) + 0.0 AS VARCHAR), '0'), '.') AS quote_volume,
    rtrim(rtrim(CAST(sum(CASE WHEN taker_side = 'SIDE_BUY' THEN size ELSE 0 END) + 0.0 AS VARCHAR), '0'), '.') AS buy_volume,
    count(*) AS trades,
    min(trade_id) AS first_id,
    max(trade_id) AS last_id,
    max(received_us) AS updated,
    CAST(1 AS BIGINT) AS revision
FROM once
GROUP BY venue, symbol, window_start
EMIT ON WINDOW CLOSE;

-- After market-preprocessor has stopped counting. It writes all windows from the hand-over time on.
CREATE SINK candles FROM candles_1m WITH (
    connector = 'jdbc',
    jdbc.url = 'jdbc:postgresql://postgres:5432/market_preprocessor?user=engine&password=secret',
    table.name = 'candles',
    type = 'upsert',
    primary_key = 'venue,symbol,timeframe,open_time'
);
