//! The service on a real store.

use std::sync::Arc;

use kennel_core::{ErrorKind, EventType as _, ManualClock, PageSize, ServiceError as _, UuidV7};
use shop_domain::{ItemCreated, ItemId, ItemService, SOURCE, TOPIC};

use crate::store::{Store, at, item, trace};

fn service(store: &Store) -> ItemService {
    ItemService::new(Arc::clone(&store.items), Arc::new(ManualClock::new(at(5))), Arc::new(UuidV7), trace)
}

pub(crate) async fn a_created_item_is_published_with_its_trace(store: &Store) {
    let service = service(store);
    let item = service.create(item("a").text).await.unwrap();
    assert_eq!((item.text.as_str(), item.created_at), ("a", at(5)));
    assert_eq!(service.get(item.id).await.unwrap(), item);

    let [event] = &store.pending().await[..] else { panic!("not one event") };
    assert_eq!((&*event.name, &*event.source, &*event.topic), (ItemCreated::NAME, SOURCE, TOPIC));
    assert_eq!((&event.key, event.time, &event.trace), (&item.id.to_string(), at(5), &trace()));
    let created = ItemCreated { id: item.id, text: item.text, created_at: item.created_at };
    assert_eq!(event.decode::<ItemCreated>().unwrap(), Some(created));
}

pub(crate) async fn the_service_lists_page_by_page(store: &Store) {
    let service = service(store);
    let mut ids: Vec<ItemId> = Vec::new();
    for text in ["a", "b", "c", "d"] {
        ids.insert(0, service.create(item(text).text).await.unwrap().id);
    }
    let size = PageSize::new(2).unwrap();
    let first = service.list(None, size).await.unwrap();
    assert!(first.next.is_some());
    let last = service.list(first.next, size).await.unwrap();
    assert_eq!(last.next, None);
    let listed: Vec<_> = first.items.into_iter().chain(last.items).map(|item| item.id).collect();
    assert_eq!(listed, ids);
}

pub(crate) async fn unknown_items_are_not_found(store: &Store) {
    let (service, unknown) = (service(store), item("a").id);
    for error in [service.get(unknown).await.unwrap_err(), service.delete(unknown).await.unwrap_err()] {
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::NotFound, format!("no item has the id {unknown}")));
    }
    let item = service.create(item("b").text).await.unwrap();
    service.delete(item.id).await.unwrap();
    assert_eq!(service.get(item.id).await.unwrap_err().kind(), ErrorKind::NotFound);
}
