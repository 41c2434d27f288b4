//! Some of the breeds of the dog API, with their sub-breeds.

/// Breeds in the order of the API.
pub(super) const BREEDS: &[(&str, &[&str])] = &[
    ("affenpinscher", &[]),
    ("akita", &[]),
    ("beagle", &[]),
    ("bulldog", &["boston", "english", "french"]),
    ("corgi", &["cardigan"]),
    ("dachshund", &[]),
    ("hound", &["afghan", "basset", "blood", "english", "ibizan", "plott", "walker"]),
    ("husky", &[]),
    ("labrador", &[]),
    ("poodle", &["medium", "miniature", "standard", "toy"]),
    ("pug", &[]),
    ("retriever", &["chesapeake", "curly", "flatcoated", "golden"]),
    ("shiba", &[]),
    ("terrier", &["american", "australian", "border", "irish", "scottish", "yorkshire"]),
    ("whippet", &[]),
];

/// The sub-breeds of a breed; `None` for an unknown breed.
pub(super) fn sub_breeds(breed: &str) -> Option<&'static [&'static str]> {
    BREEDS.iter().find(|(name, _)| *name == breed).map(|(_, subs)| *subs)
}
