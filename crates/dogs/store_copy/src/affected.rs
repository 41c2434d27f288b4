//! Finds the dogs that a batch of the source's events affects.

use std::collections::BTreeSet;

use dogs_domain::DogId;
use dogs_domain::events::{DogDeleted, DogsImported};
use kennel_core::{Event, EventType as _};

/// The dogs to read again from the source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct AffectedIds {
    /// The dogs that the events name.
    pub(super) dogs: BTreeSet<DogId>,
    /// Those of `dogs` with a deletion among the events. They may exist again under the same id.
    pub(super) deleted: BTreeSet<DogId>,
    /// Whether the events also affect dogs that they do not name: an import reports how many dogs it created, not which.
    pub(super) unnamed: bool,
}

impl AffectedIds {
    pub(super) fn of<'e>(events: impl Iterator<Item = &'e Event>) -> Self {
        let mut affected = Self::default();
        for event in events {
            // The key of an import can look like an id.
            let named = if event.name == DogsImported::NAME { None } else { event.key.parse::<DogId>().ok() };
            let Some(id) = named else {
                affected.unnamed = true;
                continue;
            };
            affected.dogs.insert(id);
            if event.name == DogDeleted::NAME {
                affected.deleted.insert(id);
            }
        }
        affected
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
            content_type: "application/json".to_owned(),
            data: Bytes::new(),
            trace: None,
        }
    }

    #[test]
    fn dogs_are_listed_once_and_imports_name_none() {
        let (rex, max) = (DogId(UuidV7.next()), DogId(UuidV7.next()));
        let events = [
            event("dogs.created", &rex.to_string()),
            event("dogs.updated", &rex.to_string()),
            event("dogs.deleted", &max.to_string()),
        ];
        let affected = AffectedIds::of(events.iter());
        assert_eq!(affected.dogs, BTreeSet::from([rex, max]));
        assert_eq!(affected.deleted, BTreeSet::from([max]));
        assert!(!affected.unnamed);
        for key in ["sha256:00".to_owned(), rex.to_string()] {
            let affected = AffectedIds::of([event("dogs.imported", &key)].iter());
            assert_eq!(affected, AffectedIds { unnamed: true, ..AffectedIds::default() });
        }
    }
}
