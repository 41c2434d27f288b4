//! The service on a real store.

use std::sync::Arc;

use kennel_core::{ErrorKind, EventType as _, ManualClock, PageSize, ServiceError as _, UuidV7};
use notes::domain::{NoteCreated, NoteId, NoteService, SOURCE, TOPIC};

use crate::store::{Store, at, note, trace};

fn service(store: &Store) -> NoteService {
    NoteService::new(Arc::clone(&store.notes), Arc::new(ManualClock::new(at(5))), Arc::new(UuidV7), trace)
}

pub(crate) async fn a_created_note_is_published_with_its_trace(store: &Store) {
    let service = service(store);
    let note = service.create(note("a").text).await.unwrap();
    assert_eq!((note.text.as_str(), note.created_at), ("a", at(5)));
    assert_eq!(service.get(note.id).await.unwrap(), note);

    let [event] = &store.pending().await[..] else { panic!("not one event") };
    assert_eq!((&*event.name, &*event.source, &*event.topic), (NoteCreated::NAME, SOURCE, TOPIC));
    assert_eq!((&event.key, event.time, &event.trace), (&note.id.to_string(), at(5), &trace()));
    let created = NoteCreated { id: note.id, text: note.text, created_at: note.created_at };
    assert_eq!(event.decode::<NoteCreated>().unwrap(), Some(created));
}

pub(crate) async fn the_service_lists_page_by_page(store: &Store) {
    let service = service(store);
    let mut ids: Vec<NoteId> = Vec::new();
    for text in ["a", "b", "c", "d"] {
        ids.insert(0, service.create(note(text).text).await.unwrap().id);
    }
    let size = PageSize::new(2).unwrap();
    let first = service.list(None, size).await.unwrap();
    assert!(first.next.is_some());
    let last = service.list(first.next, size).await.unwrap();
    assert_eq!(last.next, None);
    let listed: Vec<_> = first.items.into_iter().chain(last.items).map(|note| note.id).collect();
    assert_eq!(listed, ids);
}

pub(crate) async fn unknown_notes_are_not_found(store: &Store) {
    let (service, unknown) = (service(store), note("a").id);
    for error in [service.get(unknown).await.unwrap_err(), service.delete(unknown).await.unwrap_err()] {
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("no note has the id {unknown}")));
    }
    let note = service.create(note("b").text).await.unwrap();
    service.delete(note.id).await.unwrap();
    assert_eq!(service.get(note.id).await.unwrap_err().kind(), ErrorKind::NotFound);
}
