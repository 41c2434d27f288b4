-- The database of the market analytics.
CREATE DATABASE IF NOT EXISTS market_preprocessor;
