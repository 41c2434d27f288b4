//! The removal of old idempotency keys and imports.

use dogs_domain::Dog;
use dogs_domain::ports::{ImportBatch, Inserted};
use dogs_storages::Stores;

use crate::fixtures::{NO_LIMIT, all, assert_batches, at, batch, count_event, dog, key, plain_dog};

pub(crate) async fn a_purge_removes_keys_last_used_before(stores: &Stores) {
    let dog_created_at = |millis| Dog { created_at: at(millis), updated_at: at(millis), ..dog("husky") };
    for (name, millis) in [("old", 0), ("used again", 0), ("new", 10)] {
        stores.dogs.insert(&dog_created_at(millis), &[], Some(&key(name, 1))).await.unwrap();
    }
    stores.dogs.insert(&dog_created_at(10), &[], Some(&key("used again", 1))).await.unwrap();
    assert_eq!(stores.retention.purge(at(10), NO_LIMIT).await.unwrap(), 1);
    assert_eq!(stores.retention.purge(at(10), NO_LIMIT).await.unwrap(), 0);
    for (name, removed) in [("old", true), ("used again", false), ("new", false)] {
        let again = stores.dogs.insert(&dog_created_at(20), &[], Some(&key(name, 1))).await.unwrap();
        assert_eq!(again == Inserted::New, removed, "{name}");
    }
    assert_eq!(all(stores).await.len(), 4);
}

pub(crate) async fn old_keys_are_removed_in_batches(stores: &Stores) {
    let insert = async |name: &str, millis| {
        let dog = Dog { created_at: at(millis), updated_at: at(millis), ..dog("husky") };
        stores.dogs.insert(&dog, &[], Some(&key(name, 1))).await.unwrap()
    };
    for number in 0..7 {
        insert(&format!("old {number}"), number).await;
    }
    insert("new", 10).await;
    assert_batches(stores, &[3, 3, 1], async || stores.retention.purge(at(10), 3).await.unwrap()).await;
    assert_ne!(insert("new", 20).await, Inserted::New);
    for number in 0..7 {
        assert_eq!(insert(&format!("old {number}"), 20).await, Inserted::New);
    }
}

pub(crate) async fn a_purge_removes_imports_last_used_before(stores: &Stores) {
    for import in ["old", "started again", "advanced"] {
        stores.imports.begin_import(import, at(0)).await.unwrap();
    }
    stores.imports.begin_import("started again", at(10)).await.unwrap();
    let step = ImportBatch { at: at(10), ..batch("advanced", vec![plain_dog("husky")], 1) };
    stores.imports.import(&step, &|n| Ok(count_event(n))).await.unwrap();
    assert_eq!(stores.retention.purge(at(10), NO_LIMIT).await.unwrap(), 1);
    let started = |import| async move { stores.imports.begin_import(import, at(20)).await.unwrap().started_at };
    assert_eq!(started("old").await, at(20));
    assert_eq!(started("started again").await, at(0));
    assert_eq!(started("advanced").await, at(0));
}

pub(crate) async fn old_imports_are_removed_in_batches(stores: &Stores) {
    for number in 0..7 {
        stores.imports.begin_import(&format!("old {number}"), at(number)).await.unwrap();
    }
    stores.imports.begin_import("new", at(10)).await.unwrap();
    assert_batches(stores, &[3, 3, 1], async || stores.retention.purge(at(10), 3).await.unwrap()).await;
    assert_eq!(stores.imports.begin_import("new", at(20)).await.unwrap().started_at, at(10));
    for number in 0..7 {
        let started = stores.imports.begin_import(&format!("old {number}"), at(20)).await.unwrap();
        assert_eq!(started.started_at, at(20));
    }
}
