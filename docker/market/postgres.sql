-- The databases of the market analytics.
CREATE DATABASE market_preprocessor;
CREATE DATABASE market_auth;
