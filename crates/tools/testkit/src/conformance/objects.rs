//! Cases for [`ObjectStore`].
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the case")]

use bytes::Bytes;
use futures_util::future::join_all;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use kennel_core::objects::{ByteStream, ObjectError, ObjectMeta, PutOptions};
use kennel_core::{ObjectKey, ObjectStore};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n and so on";

/// Expands to one test per case. `$setup` is an `async fn() -> Option<Fixture<Arc<dyn ObjectStore>>>` of an empty
/// store.
#[macro_export]
macro_rules! objects_conformance {
    ($setup:path) => {
        $crate::objects_conformance! { @cases $setup:
            returns_a_stored_object,
            misses_an_unknown_key,
            stores_an_empty_object,
            stores_a_large_object_in_chunks,
            stores_every_byte_value,
            head_returns_the_metadata,
            detects_image_types,
            detects_image_types_across_chunks,
            defaults_to_octet_stream,
            prefers_the_given_content_type,
            replaces_bytes_and_content_type_together,
            skips_an_existing_object,
            one_of_concurrent_puts_wins,
            accepts_exactly_the_limit,
            refuses_one_byte_over_the_limit,
            a_refused_put_retains_the_old_object,
            a_broken_body_stores_nothing,
            gets_a_range,
            clips_a_range_to_what_exists,
            delete_reports_whether_the_object_existed,
            deleting_retains_other_objects,
            stores_a_key_and_one_below_it,
            accepts_the_longest_keys,
            lists_in_byte_order,
            lists_by_prefix,
            lists_keys_that_differ_in_their_ending,
            lists_in_pages,
            lists_nothing_in_an_empty_store,
            list_returns_the_metadata,
            a_reader_finishes_the_object_it_started,
            readers_see_complete_objects_during_replacement,
            concurrent_puts_and_deletes_do_not_interfere,
            answers_pings
        }
    };
    (@cases $setup:path: $($case:ident),+) => { $(
        #[tokio::test]
        async fn $case() {
            if let Some(fresh) = $setup().await
                && fresh.includes(stringify!($case))
            {
                $crate::conformance::objects::$case(&*fresh.port).await;
            }
        }
    )+ };
}

fn key(text: &str) -> ObjectKey {
    text.parse().unwrap()
}

fn body(chunks: &[&[u8]]) -> ByteStream {
    let chunks: Vec<_> = chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks).boxed()
}

fn options() -> PutOptions {
    PutOptions { content_type: None, max_bytes: 64 * 1024 * 1024, skip_existing: false }
}

async fn put(store: &dyn ObjectStore, name: &str, bytes: &[u8]) -> ObjectMeta {
    store.put(&key(name), body(&[bytes]), &options()).await.unwrap()
}

async fn read(store: &dyn ObjectStore, name: &str, range: Option<std::ops::Range<u64>>) -> Option<Vec<u8>> {
    let (_, stream) = store.get(&key(name), range).await.unwrap()?;
    Some(collect(stream).await)
}

async fn collect(stream: ByteStream) -> Vec<u8> {
    stream.try_collect::<Vec<_>>().await.unwrap().concat()
}

async fn names(store: &dyn ObjectStore, prefix: &str) -> Vec<String> {
    let found = store.list(prefix, None, 1_000).await.unwrap();
    found.into_iter().map(|meta| meta.key.into()).collect()
}

pub async fn returns_a_stored_object(store: &dyn ObjectStore) {
    let put = put(store, "photos/rex.png", PNG).await;
    let (meta, stream) = store.get(&key("photos/rex.png"), None).await.unwrap().unwrap();
    assert_eq!(meta, put);
    assert_eq!((meta.size, meta.content_type.as_str()), (PNG.len() as u64, "image/png"));
    assert_eq!(collect(stream).await, PNG);
}

pub async fn misses_an_unknown_key(store: &dyn ObjectStore) {
    put(store, "photos/rex", b"1").await;
    for name in ["photos", "photos/re", "photos/rex2", "photos/rex/1", "other/rex"] {
        assert!(store.get(&key(name), None).await.unwrap().is_none(), "{name}");
        assert_eq!(store.head(&key(name)).await.unwrap(), None, "{name}");
    }
}

pub async fn stores_an_empty_object(store: &dyn ObjectStore) {
    assert_eq!(put(store, "empty", b"").await.size, 0);
    assert_eq!(read(store, "empty", None).await, Some(Vec::new()));
    assert_eq!(store.put(&key("no-chunks"), body(&[]), &options()).await.unwrap().size, 0);
}

pub async fn stores_a_large_object_in_chunks(store: &dyn ObjectStore) {
    let chunks: Vec<_> = (0..100_u8).map(|byte| vec![byte; 33_333]).collect();
    let slices: Vec<_> = chunks.iter().map(Vec::as_slice).collect();
    let meta = store.put(&key("large"), body(&slices), &options()).await.unwrap();
    assert_eq!(meta.size, 3_333_300);
    assert!(read(store, "large", None).await.unwrap() == chunks.concat());
}

pub async fn stores_every_byte_value(store: &dyn ObjectStore) {
    let bytes: Vec<_> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    put(store, "bytes", &bytes).await;
    assert_eq!(read(store, "bytes", None).await, Some(bytes));
}

pub async fn head_returns_the_metadata(store: &dyn ObjectStore) {
    let put = put(store, "rex", PNG).await;
    assert_eq!(store.head(&key("rex")).await.unwrap(), Some(put));
}

pub async fn detects_image_types(store: &dyn ObjectStore) {
    for (bytes, content_type) in [
        (&b"\xff\xd8\xff\xe0rest"[..], "image/jpeg"),
        (PNG, "image/png"),
        (b"GIF89a rest", "image/gif"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    ] {
        put(store, "image", bytes).await;
        assert_eq!(store.head(&key("image")).await.unwrap().unwrap().content_type, content_type);
    }
}

pub async fn detects_image_types_across_chunks(store: &dyn ObjectStore) {
    let chunks: Vec<_> = PNG.chunks(1).collect();
    let meta = store.put(&key("rex"), body(&chunks), &options()).await.unwrap();
    assert_eq!(meta.content_type, "image/png");
}

pub async fn defaults_to_octet_stream(store: &dyn ObjectStore) {
    for bytes in [&b"<script>alert(1)</script>"[..], b""] {
        assert_eq!(put(store, "rex.jpg", bytes).await.content_type, "application/octet-stream");
    }
}

pub async fn prefers_the_given_content_type(store: &dyn ObjectStore) {
    let given = PutOptions { content_type: Some("text/plain; charset=utf-8".to_owned()), ..options() };
    store.put(&key("rex"), body(&[PNG]), &given).await.unwrap();
    let meta = store.head(&key("rex")).await.unwrap().unwrap();
    assert_eq!(meta.content_type, "text/plain; charset=utf-8");
    assert_eq!(read(store, "rex", None).await.as_deref(), Some(PNG));
}

pub async fn replaces_bytes_and_content_type_together(store: &dyn ObjectStore) {
    put(store, "rex", PNG).await;
    put(store, "rex", b"short").await;
    let meta = store.head(&key("rex")).await.unwrap().unwrap();
    assert_eq!((meta.size, meta.content_type.as_str()), (5, "application/octet-stream"));
    assert_eq!(read(store, "rex", None).await.as_deref(), Some(&b"short"[..]));
}

pub async fn skips_an_existing_object(store: &dyn ObjectStore) {
    let skip_existing = PutOptions { skip_existing: true, ..options() };
    let first = store.put(&key("rex"), body(&[b"first"]), &skip_existing).await.unwrap();
    let second = store.put(&key("rex"), body(&[b"second"]), &skip_existing).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(read(store, "rex", None).await.as_deref(), Some(&b"first"[..]));
}

pub async fn one_of_concurrent_puts_wins(store: &dyn ObjectStore) {
    let skip_existing = PutOptions { skip_existing: true, ..options() };
    let name = key("rex");
    let put =
        async |byte: u8| store.put(&name, body(&[&vec![byte; usize::from(byte) + 1]]), &skip_existing).await.unwrap();
    let results = join_all((0..16).map(put)).await;
    let stored = read(store, "rex", None).await.unwrap();
    assert!(results.iter().all(|meta| meta.size == stored.len() as u64), "{results:?}");
}

pub async fn accepts_exactly_the_limit(store: &dyn ObjectStore) {
    let limited = PutOptions { max_bytes: 6, ..options() };
    assert_eq!(store.put(&key("rex"), body(&[b"abc", b"def"]), &limited).await.unwrap().size, 6);
}

pub async fn refuses_one_byte_over_the_limit(store: &dyn ObjectStore) {
    let limited = PutOptions { max_bytes: 6, ..options() };
    let refused = store.put(&key("a/rex"), body(&[b"abc", b"defg"]), &limited).await;
    assert!(matches!(refused, Err(ObjectError::TooLarge { limit: 6 })), "{refused:?}");
    assert_eq!(store.head(&key("a/rex")).await.unwrap(), None);
    assert!(names(store, "").await.is_empty());
}

pub async fn a_refused_put_retains_the_old_object(store: &dyn ObjectStore) {
    put(store, "rex", b"old").await;
    let limited = PutOptions { max_bytes: 2, ..options() };
    assert!(store.put(&key("rex"), body(&[b"new"]), &limited).await.is_err());
    assert_eq!(read(store, "rex", None).await.as_deref(), Some(&b"old"[..]));
}

pub async fn a_broken_body_stores_nothing(store: &dyn ObjectStore) {
    let broken: ByteStream =
        stream::iter([Ok(Bytes::from_static(b"half")), Err(ObjectError::Body("reset".into()))]).boxed();
    let refused = store.put(&key("rex"), broken, &options()).await;
    assert!(matches!(refused, Err(ObjectError::Body(_))), "{refused:?}");
    assert_eq!(store.head(&key("rex")).await.unwrap(), None);
    assert!(names(store, "").await.is_empty());
}

pub async fn gets_a_range(store: &dyn ObjectStore) {
    put(store, "digits", b"0123456789").await;
    for (range, expected) in [(0..1, "0"), (2..5, "234"), (9..10, "9"), (0..10, "0123456789"), (4..4, "")] {
        let (meta, stream) = store.get(&key("digits"), Some(range.clone())).await.unwrap().unwrap();
        assert_eq!(meta.size, 10, "the size is that of the object");
        assert_eq!(collect(stream).await, expected.as_bytes(), "{range:?}");
    }
}

#[expect(clippy::reversed_empty_ranges, reason = "callers may send such ranges")]
pub async fn clips_a_range_to_what_exists(store: &dyn ObjectStore) {
    put(store, "digits", b"0123456789").await;
    for (range, expected) in
        [(8..99, "89"), (0..u64::MAX, "0123456789"), (10..11, ""), (u64::MAX..u64::MAX, ""), (5..2, "")]
    {
        assert_eq!(read(store, "digits", Some(range.clone())).await.as_deref(), Some(expected.as_bytes()), "{range:?}");
    }
}

pub async fn delete_reports_whether_the_object_existed(store: &dyn ObjectStore) {
    put(store, "a/b/rex", b"1").await;
    assert!(store.delete(&key("a/b/rex")).await.unwrap());
    assert!(!store.delete(&key("a/b/rex")).await.unwrap());
    assert!(!store.delete(&key("never/was")).await.unwrap());
    assert_eq!(store.head(&key("a/b/rex")).await.unwrap(), None);
    put(store, "a/b/rex", b"2").await;
    assert_eq!(read(store, "a/b/rex", None).await.as_deref(), Some(&b"2"[..]));
}

pub async fn deleting_retains_other_objects(store: &dyn ObjectStore) {
    for name in ["a/b/1", "a/b/2", "a/c", "a/b-2"] {
        put(store, name, b"x").await;
    }
    store.delete(&key("a/b/1")).await.unwrap();
    assert_eq!(names(store, "").await, ["a/b-2", "a/b/2", "a/c"]);
}

pub async fn stores_a_key_and_one_below_it(store: &dyn ObjectStore) {
    put(store, "a", b"1").await;
    put(store, "a/b", b"2").await;
    put(store, "a/b/c", b"3").await;
    for (name, bytes) in [("a", b"1"), ("a/b", b"2"), ("a/b/c", b"3")] {
        assert_eq!(read(store, name, None).await.as_deref(), Some(&bytes[..]));
    }
}

pub async fn accepts_the_longest_keys(store: &dyn ObjectStore) {
    let (one_segment, long_folder) = ("k".repeat(255), format!("{}/k", "f".repeat(253)));
    for name in [one_segment.as_str(), long_folder.as_str(), "1/2/3/4/5/6/7/8"] {
        put(store, name, name.as_bytes()).await;
        assert_eq!(read(store, name, None).await.as_deref(), Some(name.as_bytes()));
    }
    assert_eq!(names(store, "").await.len(), 3);
}

const ORDERED: [&str; 8] = ["a-b/x", "a.b", "a/b-c", "a/b/c", "a/c", "a0", "a_", "b/a"];

pub async fn lists_in_byte_order(store: &dyn ObjectStore) {
    assert!(ORDERED.is_sorted());
    for name in ORDERED.iter().rev() {
        put(store, name, b"x").await;
    }
    assert_eq!(names(store, "").await, ORDERED);
}

pub async fn lists_by_prefix(store: &dyn ObjectStore) {
    for name in ORDERED {
        put(store, name, b"x").await;
    }
    for prefix in ["a", "a/", "a/b", "a/b/", "a-", "b", "b/a", "a/b/c", "z", "a/z", "/", "A", ".."] {
        let expected: Vec<_> = ORDERED.iter().filter(|name| name.starts_with(prefix)).collect();
        assert_eq!(names(store, prefix).await.iter().collect::<Vec<_>>(), expected, "{prefix}");
    }
}

/// What belongs together is stored under such keys: of a key and one below it, a listing may omit the second.
pub async fn lists_keys_that_differ_in_their_ending(store: &dyn ObjectStore) {
    let together = ["gifs/ab/abc.gif", "gifs/ab/abc.poster.webp", "gifs/ab/abc.small.gif"];
    for name in together {
        put(store, name, name.as_bytes()).await;
        assert!(together.iter().all(|other| !key(name).is_folder_of(&key(other))), "{name}");
    }
    assert_eq!(names(store, "").await, together);
    assert_eq!(names(store, "gifs/ab/abc.").await, together);
    assert_eq!(names(store, "gifs/ab/abc.s").await, together[2..]);
}

pub async fn lists_in_pages(store: &dyn ObjectStore) {
    for name in ORDERED {
        put(store, name, b"x").await;
    }
    for limit in [1, 2, 3, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.list("a", after.as_ref(), limit).await.unwrap();
            assert!(page.len() <= limit as usize);
            let Some(last) = page.last() else { break };
            after = Some(last.key.clone());
            found.extend(page.into_iter().map(|meta| String::from(meta.key)));
        }
        assert_eq!(found, ORDERED[..7], "{limit}");
    }
    let after = store.list("", Some(&key("a/b.never")), 2).await.unwrap();
    assert_eq!(after.iter().map(|meta| meta.key.as_str()).collect::<Vec<_>>(), ["a/b/c", "a/c"]);
}

pub async fn lists_nothing_in_an_empty_store(store: &dyn ObjectStore) {
    assert!(names(store, "").await.is_empty());
    put(store, "a", b"x").await;
    assert!(store.list("", None, 0).await.unwrap().is_empty());
    assert!(store.list("", Some(&key("a")), 9).await.unwrap().is_empty());
}

pub async fn list_returns_the_metadata(store: &dyn ObjectStore) {
    let (one, two) = (put(store, "one", PNG).await, put(store, "two/2", b"").await);
    assert_eq!(store.list("", None, 9).await.unwrap(), [one, two]);
}

pub async fn a_reader_finishes_the_object_it_started(store: &dyn ObjectStore) {
    let old = vec![b'o'; 1_000_000];
    put(store, "rex", &old).await;
    let (_, mut stream) = store.get(&key("rex"), None).await.unwrap().unwrap();
    let mut found = stream.next().await.unwrap().unwrap().to_vec();
    put(store, "rex", b"new").await;
    found.extend(collect(stream).await);
    assert!(found == old);
}

pub async fn readers_see_complete_objects_during_replacement(store: &dyn ObjectStore) {
    let content = |byte: u8| vec![byte; 50_000 + usize::from(byte)];
    put(store, "rex", &content(0)).await;
    let writing = async {
        for byte in 1..40 {
            put(store, "rex", &content(byte)).await;
        }
    };
    let reading = async {
        for _ in 0..40 {
            let (meta, stream) = store.get(&key("rex"), None).await.unwrap().unwrap();
            let found = collect(stream).await;
            assert_eq!(meta.size, found.len() as u64);
            assert!(found == content(found[0]));
        }
    };
    tokio::join!(writing, reading);
}

pub async fn concurrent_puts_and_deletes_do_not_interfere(store: &dyn ObjectStore) {
    let neighbour = async |number: usize| {
        let name = format!("a/b/{number}");
        for _ in 0..10 {
            put(store, &name, b"x").await;
            assert!(store.delete(&key(&name)).await.unwrap());
        }
    };
    join_all((0..8).map(neighbour)).await;
    assert!(names(store, "").await.is_empty());
}

pub async fn answers_pings(store: &dyn ObjectStore) {
    store.ping().await.unwrap();
}
