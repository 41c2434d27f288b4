//! Splits text into the words by which the catalogue is searched.

use std::collections::BTreeSet;

/// Maximum length of a word in characters; longer ones are cut.
const MAX_CHARS: usize = 40;
/// Maximum number of words of one text; further ones are ignored.
const MAX_WORDS: usize = 60;

/// The words of a text, each once and sorted: runs of letters and digits, in lower case.
///
/// ```
/// assert_eq!(gifs_domain::catalogue::words("Cat, cat & DOG!"), ["cat", "dog"]);
/// ```
pub fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty());
    let words: BTreeSet<String> = words.take(MAX_WORDS).map(|word| word.chars().take(MAX_CHARS).collect()).collect();
    words.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_a_run_of_letters_and_digits_of_any_script() {
        assert_eq!(words("It's 5 o'clock: 犬 ÉTÉ"), ["5", "clock", "it", "o", "s", "été", "犬"]);
        assert_eq!(words(" ,-; 🐕"), Vec::<String>::new());
    }

    #[test]
    fn words_are_limited_in_length_and_number() {
        assert_eq!(words(&"é".repeat(50)), ["é".repeat(40)]);
        let many: Vec<_> = (0..100).map(|number| format!("w{number:03}")).collect();
        assert_eq!(words(&many.join(" ")), many[..60]);
    }
}
