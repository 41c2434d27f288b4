//! Which build and which coats each breed has.

use super::anatomy::{self, Build, company, hounds, working};
use super::coat::{self, Coat};

/// A breed's build and the coats it comes in.
pub(super) type Row = (&'static Build, &'static [Coat]);

/// The look of the breed; a breed without a row always gets the look of the same mixed breed.
pub(super) fn find(breed: &str) -> Row {
    let row = |(_, build, coats): &'static (_, _, _)| (*build, *coats);
    let main = breed.split('-').next().unwrap_or(breed);
    let exact = LOOKS.iter().find(|(name, ..)| *name == breed);
    let found = exact.or_else(|| LOOKS.iter().find(|(name, ..)| *name == main)).map(row);
    found.unwrap_or_else(|| MIXED[sum(breed) % MIXED.len()])
}

pub(super) fn names() -> impl Iterator<Item = &'static str> {
    LOOKS.iter().map(|(name, ..)| *name)
}

fn sum(breed: &str) -> usize {
    breed.bytes().fold(7, |sum, byte| (sum * 31 + usize::from(byte)) % 65_521)
}

const MIXED: &[Row] = &[
    (&anatomy::RETRIEVER, coat::MIXED),
    (&working::SHEPHERD, coat::MIXED),
    (&working::COLLIE, coat::MIXED),
    (&hounds::RUSSELL, coat::MIXED),
    (&hounds::HOUND, coat::MIXED),
];

const LOOKS: &[(&str, &Build, &[Coat])] = &[
    ("affenpinscher", &hounds::SCHNAUZER, coat::BLACKS),
    ("african-wild", &working::WILD, coat::WILD),
    ("airedale", &hounds::TERRIER, coat::AIREDALE),
    ("akita", &working::SPITZ, coat::URAJIRO),
    ("appenzeller", &anatomy::RETRIEVER, coat::BERNESE),
    ("australian-kelpie", &working::SHEPHERD, coat::KELPIE),
    ("australian-shepherd", &working::COLLIE, coat::AUSSIE),
    ("bakharwal-indian", &working::MOUNTAIN, coat::NEWFIE),
    ("basenji", &hounds::SHIBA, coat::BASENJI),
    ("beagle", &hounds::HOUND, coat::BEAGLE),
    ("bluetick", &hounds::HOUND, coat::BLUETICK),
    ("borzoi", &hounds::SILKEN, coat::BORZOI),
    ("bouvier", &working::SHAGGY, coat::SHAGGY),
    ("boxer", &working::BOXER, coat::BOXER),
    ("brabancon", &company::PUG, coat::REDS),
    ("briard", &working::SHAGGY, coat::SHAGGY),
    ("buhund-norwegian", &working::SPITZ, coat::WHEATEN),
    ("bulldog-boston", &company::BAT, coat::BOSTON),
    ("bulldog-english", &company::BULLDOG, coat::BULLDOG),
    ("bulldog-french", &company::BAT, coat::FRENCHIE),
    ("bullterrier-staffordshire", &hounds::BULL, coat::PITBULL),
    ("cattledog-australian", &working::SHEPHERD, coat::HEELER),
    ("cavapoo", &company::TEDDY, coat::DOODLE),
    ("chihuahua", &company::CHIHUAHUA, coat::CHIHUAHUA),
    ("chippiparai-indian", &hounds::SIGHTHOUND, coat::INDIAN),
    ("chow", &working::SPITZ, coat::CHOW),
    ("clumber", &working::SPANIEL, coat::ENGLISH_SETTER),
    ("cockapoo", &company::TEDDY, coat::DOODLE),
    ("collie-border", &working::COLLIE, coat::BORDER_COLLIE),
    ("coonhound", &hounds::HOUND, coat::BLACK_TAN),
    ("corgi-cardigan", &working::CORGI, coat::CARDIGAN),
    ("cotondetulear", &company::TEDDY, coat::WHITES),
    ("dachshund", &hounds::DACHSHUND, coat::DACHSHUND),
    ("dalmatian", &working::POINTER, coat::DALMATIAN),
    ("dane-great", &working::MASTIFF, coat::DANE),
    ("danish-swedish", &hounds::RUSSELL, coat::RUSSELL),
    ("deerhound-scottish", &hounds::WOLFHOUND, coat::GREYS),
    ("dhole", &working::SHEPHERD, coat::DHOLE),
    ("dingo", &working::SHEPHERD, coat::DINGO),
    ("doberman", &working::PINSCHER, coat::DOBERMAN),
    ("elkhound-norwegian", &working::SPITZ, coat::WOLF),
    ("entlebucher", &anatomy::RETRIEVER, coat::BERNESE),
    ("eskimo", &working::SPITZ, coat::WHITES),
    ("finnish-lapphund", &working::SPITZ, coat::BLACK_TAN),
    ("frise-bichon", &company::TEDDY, coat::WHITES),
    ("gaddi-indian", &working::MOUNTAIN, coat::NEWFIE),
    ("german-shepherd", &working::SHEPHERD, coat::GSD),
    ("greyhound-indian", &hounds::SIGHTHOUND, coat::INDIAN),
    ("greyhound-italian", &hounds::SIGHTHOUND, coat::GREYHOUND),
    ("groenendael", &working::SHEPHERD, coat::BLACKS),
    ("havanese", &company::SILKY_TOY, coat::LHASA),
    ("hound-afghan", &hounds::SILKEN, coat::AFGHAN),
    ("hound-basset", &hounds::BASSET, coat::BASSET),
    ("hound-blood", &hounds::BLOODHOUND, coat::BLOODHOUND),
    ("hound-english", &hounds::HOUND, coat::BEAGLE),
    ("hound-ibizan", &working::PINSCHER, coat::RED_WHITE),
    ("hound-plott", &hounds::HOUND, coat::PLOTT),
    ("hound-walker", &hounds::HOUND, coat::BEAGLE),
    ("husky", &working::SPITZ, coat::HUSKY),
    ("keeshond", &working::SPITZ, coat::WOLF),
    ("kelpie", &working::SHEPHERD, coat::KELPIE),
    ("kombai", &working::POINTER, coat::RIDGEBACK),
    ("komondor", &working::SHAGGY, coat::WHITES),
    ("kuvasz", &working::MOUNTAIN, coat::WHITES),
    ("labradoodle", &company::TEDDY, coat::DOODLE),
    ("labrador", &anatomy::RETRIEVER, coat::LABRADOR),
    ("leonberg", &working::MOUNTAIN, coat::LEONBERG),
    ("lhasa", &company::SILKY_TOY, coat::LHASA),
    ("malamute", &working::SPITZ, coat::MALAMUTE),
    ("malinois", &working::SHEPHERD, coat::MALINOIS),
    ("maltese", &company::SILKY_TOY, coat::WHITES),
    ("mastiff-bull", &working::MASTIFF, coat::MASTIFF),
    ("mastiff-english", &working::MASTIFF, coat::MASTIFF),
    ("mastiff-indian", &working::MASTIFF, coat::DANE),
    ("mastiff-tibetan", &working::MOUNTAIN, coat::BLACK_TAN),
    ("mexicanhairless", &company::CHIHUAHUA, coat::HAIRLESS),
    ("mix", &anatomy::RETRIEVER, coat::MIXED),
    ("mountain-bernese", &working::MOUNTAIN, coat::BERNESE),
    ("mountain-swiss", &working::ROTTWEILER, coat::BERNESE),
    ("mudhol-indian", &hounds::SIGHTHOUND, coat::INDIAN),
    ("newfoundland", &working::MOUNTAIN, coat::NEWFIE),
    ("otterhound", &working::SHAGGY, coat::SHAGGY),
    ("ovcharka-caucasian", &working::MOUNTAIN, coat::OVCHARKA),
    ("papillon", &company::PAPILLON, coat::PAPILLON),
    ("pariah-indian", &working::SHEPHERD, coat::INDIAN),
    ("pekinese", &company::SILKY_TOY, coat::PEKE),
    ("pembroke", &working::CORGI, coat::CORGI),
    ("pinscher-miniature", &company::CHIHUAHUA, coat::DOBERMAN),
    ("pitbull", &hounds::BULL, coat::PITBULL),
    ("pointer-german", &working::POINTER, coat::GERMAN_POINTER),
    ("pointer-germanlonghair", &working::SETTER, coat::GERMAN_POINTER),
    ("pomeranian", &company::POM, coat::POMS),
    ("poodle", &company::POODLE, coat::POODLE),
    ("pug", &company::PUG, coat::PUG),
    ("puggle", &hounds::HOUND, coat::PUG),
    ("pyrenees", &working::MOUNTAIN, coat::WHITES),
    ("rajapalayam-indian", &working::POINTER, coat::WHITES),
    ("redbone", &hounds::HOUND, coat::RED_LIVER),
    ("retriever-chesapeake", &anatomy::RETRIEVER, coat::LIVERS),
    ("retriever-curly", &anatomy::RETRIEVER, coat::BLACKS),
    ("retriever-flatcoated", &working::SETTER, coat::BLACKS),
    ("retriever-golden", &working::SETTER, coat::GOLDEN),
    ("ridgeback-rhodesian", &working::POINTER, coat::RIDGEBACK),
    ("rottweiler", &working::ROTTWEILER, coat::BLACK_TAN),
    ("rough-collie", &working::COLLIE, coat::LASSIE),
    ("saluki", &hounds::SILKEN, coat::SALUKI),
    ("samoyed", &working::SPITZ, coat::WHITES),
    ("schipperke", &company::POM, coat::BLACKS),
    ("schnauzer", &hounds::SCHNAUZER, coat::SCHNAUZER),
    ("segugio-italian", &hounds::HOUND, coat::BLACK_TAN),
    ("setter-english", &working::SETTER, coat::ENGLISH_SETTER),
    ("setter-gordon", &working::SETTER, coat::BLACK_TAN),
    ("setter-irish", &working::SETTER, coat::REDS),
    ("sharpei", &company::PEI, coat::SHARPEI),
    ("sheepdog-english", &working::SHAGGY, coat::OLD_ENGLISH),
    ("sheepdog-indian", &working::COLLIE, coat::BORDER_COLLIE),
    ("sheepdog-shetland", &working::COLLIE, coat::LASSIE),
    ("shiba", &hounds::SHIBA, coat::URAJIRO),
    ("shihtzu", &company::SILKY_TOY, coat::SHIH_TZU),
    ("spaniel-blenheim", &working::SPANIEL, coat::RED_WHITE),
    ("spaniel-brittany", &working::SETTER, coat::RED_WHITE),
    ("spaniel-cocker", &working::SPANIEL, coat::COCKER),
    ("spaniel-irish", &company::POODLE, coat::LIVERS),
    ("spaniel-japanese", &company::SILKY_TOY, coat::BLACK_WHITE),
    ("spaniel-sussex", &working::SPANIEL, coat::RED_LIVER),
    ("spaniel-welsh", &working::SPANIEL, coat::RED_WHITE),
    ("spitz-indian", &company::POM, coat::WHITES),
    ("spitz-japanese", &working::SPITZ, coat::WHITES),
    ("springer-english", &working::SPANIEL, coat::LIVER_WHITE),
    ("stbernard", &working::MOUNTAIN, coat::ST_BERNARD),
    ("terrier-american", &hounds::BULL, coat::PITBULL),
    ("terrier-andalusian", &hounds::RUSSELL, coat::RUSSELL),
    ("terrier-australian", &company::YORKIE, coat::YORKIE),
    ("terrier-bedlington", &company::POODLE, coat::GREYS),
    ("terrier-border", &hounds::TERRIER, coat::CAIRN),
    ("terrier-boston", &company::BAT, coat::BOSTON),
    ("terrier-cairn", &hounds::SCOTTIE, coat::CAIRN),
    ("terrier-dandie", &company::TEDDY, coat::GREYS),
    ("terrier-fox", &hounds::RUSSELL, coat::RUSSELL),
    ("terrier-irish", &hounds::TERRIER, coat::RED_LIVER),
    ("terrier-kerryblue", &hounds::TERRIER, coat::BLUES),
    ("terrier-lakeland", &hounds::TERRIER, coat::AIREDALE),
    ("terrier-norfolk", &hounds::TERRIER, coat::RED_LIVER),
    ("terrier-norwich", &hounds::SCOTTIE, coat::RED_LIVER),
    ("terrier-patterdale", &hounds::RUSSELL, coat::BLACKS),
    ("terrier-russell", &hounds::RUSSELL, coat::RUSSELL),
    ("terrier-scottish", &hounds::SCOTTIE, coat::BLACKS),
    ("terrier-sealyham", &hounds::SCHNAUZER, coat::WHITES),
    ("terrier-silky", &company::YORKIE, coat::YORKIE),
    ("terrier-tibetan", &working::SHAGGY, coat::LHASA),
    ("terrier-toy", &company::CHIHUAHUA, coat::BLACK_TAN),
    ("terrier-welsh", &hounds::TERRIER, coat::AIREDALE),
    ("terrier-westhighland", &hounds::SCOTTIE, coat::WHITES),
    ("terrier-wheaten", &hounds::TERRIER, coat::WHEATEN),
    ("terrier-yorkshire", &company::YORKIE, coat::YORKIE),
    ("tervuren", &working::SHEPHERD, coat::MALINOIS),
    ("vizsla", &working::POINTER, coat::RED_LIVER),
    ("waterdog-spanish", &company::TEDDY, coat::LIVERS),
    ("weimaraner", &working::POINTER, coat::WEIMARANER),
    ("whippet", &hounds::SIGHTHOUND, coat::FAWNS),
    ("wolfhound-irish", &hounds::WOLFHOUND, coat::GREYS),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_look_is_named_twice() {
        let mut names: Vec<_> = names().collect();
        names.dedup();
        assert_eq!(names.len(), LOOKS.len());
    }

    #[test]
    fn an_unheard_of_breed_looks_the_same_each_time() {
        let (one, two) = (find("lurcher"), find("lurcher"));
        assert!(std::ptr::eq(one.0, two.0));
    }
}
