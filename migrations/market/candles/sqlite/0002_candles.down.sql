DROP TABLE gaps;
DROP TABLE candles;
DROP TABLE books;
