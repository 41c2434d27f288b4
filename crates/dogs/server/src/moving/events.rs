//! What the events of the source say about which dogs to look at again.

use std::collections::BTreeSet;

use dogs_domain::DogId;
use dogs_domain::events::{DogDeleted, DogsImported};
use kennel_core::{Event, EventType as _};

/// Dogs to look at again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Touched {
    /// These.
    pub(super) dogs: BTreeSet<DogId>,
    /// Of these, the ones that were removed at some time. They may have come back under the same id.
    pub(super) deleted: BTreeSet<DogId>,
    /// Others, that the events do not name: an import tells how many dogs it made, not which.
    pub(super) unnamed: bool,
}

impl Touched {
    pub(super) fn by<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let mut touched = Self::default();
        for event in events {
            // An import may have a key that looks like an id.
            let named = if event.name == DogsImported::NAME { None } else { event.key.parse::<DogId>().ok() };
            let Some(id) = named else {
                touched.unnamed = true;
                continue;
            };
            touched.dogs.insert(id);
            if event.name == DogDeleted::NAME {
                touched.deleted.insert(id);
            }
        }
        touched
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kennel_core::{IdSource as _, Timestamp, UuidV7};

    use super::*;

    fn event(name: &str, key: &str) -> Event {
        Event {
            id: UuidV7.next(),
            name: name.to_owned(),
            source: "/dogs".to_owned(),
            topic: "dogs.events".to_owned(),
            key: key.to_owned(),
            time: Timestamp::from_millis(0).unwrap(),
            data: Bytes::new(),
            trace: None,
        }
    }

    #[test]
    fn dogs_are_named_once_and_imports_name_none() {
        let (rex, max) = (DogId(UuidV7.next()), DogId(UuidV7.next()));
        let told = [
            event("dogs.created", &rex.to_string()),
            event("dogs.updated", &rex.to_string()),
            event("dogs.deleted", &max.to_string()),
        ];
        let touched = Touched::by(told.iter());
        assert_eq!(touched.dogs, BTreeSet::from([rex, max]));
        assert_eq!(touched.deleted, BTreeSet::from([max]));
        assert!(!touched.unnamed);
        for key in ["sha256:00".to_owned(), rex.to_string()] {
            let touched = Touched::by([event("dogs.imported", &key)].iter());
            assert_eq!(touched, Touched { unnamed: true, ..Touched::default() });
        }
    }
}
