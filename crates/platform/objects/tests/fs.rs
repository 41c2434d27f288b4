//! Tests specific to objects in a directory, and their metrics.
#![expect(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, poll, stream};
use kennel_core::objects::{ByteStream, ObjectError, PutOptions};
use kennel_core::{Clock as _, ManualClock, ObjectKey, ObjectStore as _, SystemClock};
use kennel_objects::{FsObjects, InstrumentedObjectStore, ObjectMetrics};
use prometheus::{Registry, TextEncoder};
use tempfile::TempDir;

const OPTIONS: PutOptions = PutOptions { content_type: None, max_bytes: 1_000, skip_existing: false };

async fn open() -> (TempDir, FsObjects) {
    let home = tempfile::tempdir().unwrap();
    let objects = FsObjects::open(home.path(), &SystemClock).await.unwrap();
    (home, objects)
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn body(bytes: &'static [u8]) -> ByteStream {
    stream::iter([Ok(Bytes::from_static(bytes))]).boxed()
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn objects_survive_the_process() {
    let (home, objects) = open().await;
    let put = objects.put(&key("a/rex"), body(b"GIF89a"), &OPTIONS).await.unwrap();
    drop(objects);
    let again = FsObjects::open(home.path(), &SystemClock).await.unwrap();
    assert_eq!(again.head(&key("a/rex")).await.unwrap(), Some(put));
}

#[tokio::test]
async fn a_file_starts_with_the_object() {
    let (home, objects) = open().await;
    objects.put(&key("a/rex.gif"), body(b"GIF89a"), &OPTIONS).await.unwrap();
    assert_eq!(fs::read(home.path().join("a@/rex.gif")).unwrap(), b"GIF89aimage/gif\x09");
}

#[tokio::test]
async fn a_failed_or_dropped_put_leaves_no_file() {
    let (home, objects) = open().await;
    let limited = PutOptions { max_bytes: 2, ..OPTIONS };
    assert!(objects.put(&key("rex"), body(b"abc"), &limited).await.is_err());
    {
        let endless = body(b"abc").chain(stream::pending()).boxed();
        let rex = key("rex");
        let mut putting = objects.put(&rex, endless, &OPTIONS);
        while names(&home.path().join(".incoming")).is_empty() {
            assert!(poll!(&mut putting).is_pending());
            tokio::task::yield_now().await;
        }
    }
    objects.put(&key("other"), body(b"abc"), &OPTIONS).await.unwrap();
    let cleared = async {
        // The file may be created just after the put is dropped.
        while !names(&home.path().join(".incoming")).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), cleared).await.unwrap();
    assert_eq!(names(home.path()), [".incoming", "other"]);
}

#[tokio::test]
async fn removes_old_leftovers_at_the_start_and_no_others() {
    let (home, objects) = open().await;
    objects.put(&key("rex"), body(b"abc"), &OPTIONS).await.unwrap();
    fs::write(home.path().join(".incoming/1-1"), "half").unwrap();
    let clock = ManualClock::new(SystemClock.now());
    FsObjects::open(home.path(), &clock).await.unwrap();
    assert_eq!(names(&home.path().join(".incoming")), ["1-1"], "it may still be written to");
    clock.advance(Duration::from_hours(2));
    FsObjects::open(home.path(), &clock).await.unwrap();
    assert!(names(&home.path().join(".incoming")).is_empty());
    assert!(objects.head(&key("rex")).await.unwrap().is_some());
}

#[tokio::test]
async fn lists_objects_below_others() {
    let (_home, objects) = open().await;
    for name in ["a/b/c", "a", "a/b", "a.b"] {
        objects.put(&key(name), body(b"x"), &OPTIONS).await.unwrap();
    }
    let listed = objects.list("", None, 9).await.unwrap();
    assert_eq!(listed.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["a", "a.b", "a/b", "a/b/c"]);
}

#[tokio::test]
async fn empty_folders_are_removed_with_their_last_object() {
    let (home, objects) = open().await;
    for name in ["a/b/c/1", "a/2"] {
        objects.put(&key(name), body(b"abc"), &OPTIONS).await.unwrap();
    }
    objects.delete(&key("a/b/c/1")).await.unwrap();
    assert_eq!(names(&home.path().join("a@")), ["2"]);
    objects.delete(&key("a/2")).await.unwrap();
    assert_eq!(names(home.path()), [".incoming"]);
}

#[cfg(unix)]
#[tokio::test]
async fn rejects_symbolic_links() {
    let (home, objects) = open().await;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), b"secret text/plain\x0a").unwrap();
    std::os::unix::fs::symlink(outside.path(), home.path().join("out@")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("secret"), home.path().join("secret")).unwrap();
    for name in ["out/secret", "secret"] {
        let found = objects.get(&key(name), None).await.map(|found| found.is_some());
        assert!(matches!(found, Err(ObjectError::Backend(_))), "{name}: {found:?}");
        assert!(objects.delete(&key(name)).await.is_err(), "{name}");
    }
    assert!(objects.put(&key("out/new"), body(b"abc"), &OPTIONS).await.is_err());
    assert!(objects.list("", None, 10).await.unwrap().is_empty());
    assert_eq!(names(outside.path()), ["secret"]);
}

#[tokio::test]
async fn a_foreign_file_is_not_an_object() {
    let (home, objects) = open().await;
    for (name, content) in
        [("empty", &b""[..]), ("short", b"\x09"), ("long", b"a\xff"), ("plain", b"not an object\x01")]
    {
        fs::write(home.path().join(name), content).unwrap();
        let found = objects.head(&key(name)).await;
        assert!(matches!(&found, Err(ObjectError::Damaged(damaged)) if *damaged == key(name)), "{name}: {found:?}");
        objects.put(&key(name), body(b"abc"), &OPTIONS).await.unwrap();
        assert_eq!(objects.head(&key(name)).await.unwrap().unwrap().size, 3);
        objects.delete(&key(name)).await.unwrap();
    }
    fs::write(home.path().join("README.TXT"), "x/y\x03").unwrap();
    assert!(objects.list("", None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn ping_fails_without_the_directory() {
    let (home, objects) = open().await;
    objects.ping().await.unwrap();
    fs::remove_dir_all(home.path()).unwrap();
    assert!(matches!(objects.ping().await, Err(ObjectError::Unavailable(_))));
    assert!(objects.put(&key("rex"), body(b"abc"), &OPTIONS).await.is_err());
}

#[tokio::test]
async fn metric_names_are_pinned() {
    let (home, objects) = open().await;
    let registry = Registry::new();
    let instrumented = InstrumentedObjectStore::new(Arc::new(objects), ObjectMetrics::register(&registry).unwrap());
    let rex = key("rex");
    instrumented.put(&rex, body(b"abc"), &OPTIONS).await.unwrap();
    instrumented.put(&rex, body(b"abc"), &PutOptions { max_bytes: 1, ..OPTIONS }).await.unwrap_err();
    drop(instrumented.get(&rex, None).await.unwrap());
    instrumented.head(&rex).await.unwrap();
    instrumented.list("", None, 1).await.unwrap();
    assert_eq!(instrumented.presign(&rex, Duration::from_secs(1)).await.unwrap(), None);
    instrumented.delete(&rex).await.unwrap();
    fs::remove_dir_all(home.path()).unwrap();
    instrumented.put(&rex, body(b"abc"), &OPTIONS).await.unwrap_err();
    let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    let ok = ["put", "get", "head", "list", "presign", "delete"].map(|operation| (operation, "ok"));
    for (operation, outcome) in ok.into_iter().chain([("put", "refused"), ("put", "error")]) {
        let line =
            format!(r#"objects_operation_duration_seconds_count{{operation="{operation}",outcome="{outcome}"}} 1"#);
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}
