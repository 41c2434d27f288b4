//! The breeds of the public dog API, each with its sub-breeds.

use dogs_domain::Breed;

/// The response of `https://dog.ceo/api/breeds/list/all` in 2026.
const BREEDS: &[(&str, &[&str])] = &[
    ("affenpinscher", &[]),
    ("african", &["wild"]),
    ("airedale", &[]),
    ("akita", &[]),
    ("appenzeller", &[]),
    ("australian", &["kelpie", "shepherd"]),
    ("bakharwal", &["indian"]),
    ("basenji", &[]),
    ("beagle", &[]),
    ("bluetick", &[]),
    ("borzoi", &[]),
    ("bouvier", &[]),
    ("boxer", &[]),
    ("brabancon", &[]),
    ("briard", &[]),
    ("buhund", &["norwegian"]),
    ("bulldog", &["boston", "english", "french"]),
    ("bullterrier", &["staffordshire"]),
    ("cattledog", &["australian"]),
    ("cavapoo", &[]),
    ("chihuahua", &[]),
    ("chippiparai", &["indian"]),
    ("chow", &[]),
    ("clumber", &[]),
    ("cockapoo", &[]),
    ("collie", &["border"]),
    ("coonhound", &[]),
    ("corgi", &["cardigan"]),
    ("cotondetulear", &[]),
    ("dachshund", &[]),
    ("dalmatian", &[]),
    ("dane", &["great"]),
    ("danish", &["swedish"]),
    ("deerhound", &["scottish"]),
    ("dhole", &[]),
    ("dingo", &[]),
    ("doberman", &[]),
    ("elkhound", &["norwegian"]),
    ("entlebucher", &[]),
    ("eskimo", &[]),
    ("finnish", &["lapphund"]),
    ("frise", &["bichon"]),
    ("gaddi", &["indian"]),
    ("german", &["shepherd"]),
    ("greyhound", &["indian", "italian"]),
    ("groenendael", &[]),
    ("havanese", &[]),
    ("hound", &["afghan", "basset", "blood", "english", "ibizan", "plott", "walker"]),
    ("husky", &[]),
    ("keeshond", &[]),
    ("kelpie", &[]),
    ("kombai", &[]),
    ("komondor", &[]),
    ("kuvasz", &[]),
    ("labradoodle", &[]),
    ("labrador", &[]),
    ("leonberg", &[]),
    ("lhasa", &[]),
    ("malamute", &[]),
    ("malinois", &[]),
    ("maltese", &[]),
    ("mastiff", &["bull", "english", "indian", "tibetan"]),
    ("mexicanhairless", &[]),
    ("mix", &[]),
    ("mountain", &["bernese", "swiss"]),
    ("mudhol", &["indian"]),
    ("newfoundland", &[]),
    ("otterhound", &[]),
    ("ovcharka", &["caucasian"]),
    ("papillon", &[]),
    ("pariah", &["indian"]),
    ("pekinese", &[]),
    ("pembroke", &[]),
    ("pinscher", &["miniature"]),
    ("pitbull", &[]),
    ("pointer", &["german", "germanlonghair"]),
    ("pomeranian", &[]),
    ("poodle", &["medium", "miniature", "standard", "toy"]),
    ("pug", &[]),
    ("puggle", &[]),
    ("pyrenees", &[]),
    ("rajapalayam", &["indian"]),
    ("redbone", &[]),
    ("retriever", &["chesapeake", "curly", "flatcoated", "golden"]),
    ("ridgeback", &["rhodesian"]),
    ("rottweiler", &[]),
    ("rough", &["collie"]),
    ("saluki", &[]),
    ("samoyed", &[]),
    ("schipperke", &[]),
    ("schnauzer", &["giant", "miniature"]),
    ("segugio", &["italian"]),
    ("setter", &["english", "gordon", "irish"]),
    ("sharpei", &[]),
    ("sheepdog", &["english", "indian", "shetland"]),
    ("shiba", &[]),
    ("shihtzu", &[]),
    ("spaniel", &["blenheim", "brittany", "cocker", "irish", "japanese", "sussex", "welsh"]),
    ("spitz", &["indian", "japanese"]),
    ("springer", &["english"]),
    ("stbernard", &[]),
    (
        "terrier",
        &[
            "american",
            "andalusian",
            "australian",
            "bedlington",
            "border",
            "boston",
            "cairn",
            "dandie",
            "fox",
            "irish",
            "kerryblue",
            "lakeland",
            "norfolk",
            "norwich",
            "patterdale",
            "russell",
            "scottish",
            "sealyham",
            "silky",
            "tibetan",
            "toy",
            "welsh",
            "westhighland",
            "wheaten",
            "yorkshire",
        ],
    ),
    ("tervuren", &[]),
    ("vizsla", &[]),
    ("waterdog", &["spanish"]),
    ("weimaraner", &[]),
    ("whippet", &[]),
    ("wolfhound", &["irish"]),
];

/// All breeds and sub-breeds, sorted by name.
pub(crate) fn all() -> Vec<Breed> {
    let names = BREEDS.iter().flat_map(|(main, subs)| {
        let subs = subs.iter().map(move |sub| format!("{main}-{sub}"));
        std::iter::once((*main).to_owned()).chain(subs)
    });
    let mut breeds: Vec<Breed> = names.filter_map(|name| name.parse().ok()).collect();
    breeds.sort();
    breeds
}

/// The sub-breeds of the breed, possibly none; `None` when the breed or sub-breed does not exist.
/// A sub-breed has no sub-breeds of its own.
pub(crate) fn subs(breed: &Breed) -> Option<&'static [&'static str]> {
    let (_, subs) = BREEDS.iter().find(|(main, _)| *main == breed.main())?;
    match breed.sub() {
        None => Some(subs),
        Some(sub) => subs.contains(&sub).then_some(&[]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_unique_breed() {
        let names: usize = BREEDS.iter().map(|(_, subs)| 1 + subs.len()).sum();
        let breeds = all();
        assert_eq!(breeds.len(), names);
        assert!(breeds.is_sorted_by(|a, b| a < b));
        assert_eq!((BREEDS.len(), names), (108, 207));
    }

    #[test]
    fn knows_breeds_sub_breeds_and_nothing_else() {
        let subs = |name: &str| subs(&name.parse().unwrap());
        assert_eq!(subs("husky"), Some(&[][..]));
        assert_eq!(subs("mountain"), Some(&["bernese", "swiss"][..]));
        assert_eq!(subs("mountain-swiss"), Some(&[][..]));
        assert_eq!(subs("husky-foo"), None);
        assert_eq!(subs("dragon"), None);
    }
}
