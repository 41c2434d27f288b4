DROP TABLE gif_words;
DROP TABLE gifs;
