//! Keyset pagination: a page starts after a key, never at an offset, so concurrent writes cannot shift rows between
//! pages.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// First byte of a cursor; another one is of a build with another format.
const VERSION: u8 = 1;
/// Bytes of the checksum.
const CHECKSUM_BYTES: usize = 4;

/// Sort order of a listing, by id and therefore by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// A key of a list, which a [`Cursor`] can contain: the id of an item, or whatever else its order is by.
pub trait CursorKey: Sized {
    /// Returns the key as bytes.
    fn to_bytes(&self) -> Vec<u8>;

    /// Parses these bytes; `None` if they are no key. A caller can send any bytes.
    fn from_bytes(bytes: &[u8]) -> Option<Self>;
}

impl CursorKey for Uuid {
    fn to_bytes(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_slice(bytes).ok()
    }
}

impl CursorKey for Vec<u8> {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

impl CursorKey for String {
    fn to_bytes(&self) -> Vec<u8> {
        self.clone().into_bytes()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Self::from_utf8(bytes.to_vec()).ok()
    }
}

/// Position after which the next page starts: the key of the last item. Opaque to callers; it never expires.
///
/// As text it is a version, a checksum and the key, in Base64 for URLs. The checksum finds cursors that were cut off or
/// changed by mistake; it is no signature. A caller may create a cursor with any key, so a key gives access to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor<K = Uuid>(pub K);

/// The text is not a cursor.
#[derive(Debug, thiserror::Error)]
#[error("not a cursor from an earlier page")]
pub struct InvalidCursor;

impl<K: CursorKey> fmt::Display for Cursor<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.0.to_bytes();
        f.write_str(&URL_SAFE_NO_PAD.encode([&[VERSION][..], &checksum(&key), &key].concat()))
    }
}

impl<K: CursorKey> FromStr for Cursor<K> {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        let rest = bytes.strip_prefix(&[VERSION]).ok_or(InvalidCursor)?;
        let (sum, key) = rest.split_first_chunk().ok_or(InvalidCursor)?;
        if *sum != checksum(key) {
            return Err(InvalidCursor);
        }
        K::from_bytes(key).map(Self).ok_or(InvalidCursor)
    }
}

fn checksum(key: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..]: [u8; 32] = Sha256::new_with_prefix([VERSION]).chain_update(key).finalize().into();
    [a, b, c, d]
}

/// Maximum number of items of a page: 1 to 1,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u32);

/// The page size is out of range.
#[derive(Debug, thiserror::Error)]
#[error("must be 1 to {}", PageSize::MAX)]
pub struct InvalidPageSize;

impl PageSize {
    /// The largest page.
    pub const MAX: u32 = 1_000;

    /// Creates a page size of `items`. Fails when it is out of range.
    pub const fn new(items: u32) -> Result<Self, InvalidPageSize> {
        if items == 0 || items > Self::MAX { Err(InvalidPageSize) } else { Ok(Self(items)) }
    }

    /// Returns the number of items.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl Default for PageSize {
    fn default() -> Self {
        Self(50)
    }
}

/// One page of items, and the cursor of the next page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T, K = Uuid> {
    /// The items, in the requested order.
    pub items: Vec<T>,
    /// Cursor of the next page; `None` on the last page.
    pub next: Option<Cursor<K>>,
}

impl<T, K> Page<T, K> {
    /// Creates a page of up to `size` items from the result of a query for `size + 1` items: an extra item means that
    /// there is a next page. `key` returns the key of an item.
    pub fn from_overfetch(mut items: Vec<T>, size: PageSize, key: impl Fn(&T) -> K) -> Self {
        let size = size.get() as usize;
        let more = items.len() > size;
        items.truncate(size);
        let next = items.last().filter(|_| more).map(|item| Cursor(key(item)));
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_survive_the_round_trip() {
        let cursor = Cursor(Uuid::from_u128(42));
        assert_eq!(cursor.to_string().parse::<Cursor>().unwrap(), cursor);
        assert_eq!(cursor.to_string().len(), 28);
        for key in ["", "btc-usd", "\u{1f415}", &"k".repeat(1_000)] {
            let cursor = Cursor(key.to_owned());
            assert_eq!(cursor.to_string().parse::<Cursor<String>>().unwrap(), cursor);
        }
        let cursor = Cursor(vec![0, 255]);
        assert_eq!(cursor.to_string().parse::<Cursor<Vec<u8>>>().unwrap(), cursor);
    }

    #[test]
    fn other_texts_are_no_cursors() {
        let valid = Cursor(Uuid::from_u128(42)).to_string();
        let without_checksum = URL_SAFE_NO_PAD.encode(Uuid::from_u128(42).as_bytes());
        let other_version = format!("B{}", &valid[1..]);
        for text in ["", "x", "../etc", "AQ", &without_checksum, &other_version, &format!("{valid}="), &valid[..27]] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
        for index in 0..valid.len() {
            let mut changed = valid.clone().into_bytes();
            changed[index] = if changed[index] == b'A' { b'B' } else { b'A' };
            assert!(String::from_utf8(changed).unwrap().parse::<Cursor>().is_err(), "{index}");
        }
        let cut_off = Cursor("btc-usd".to_owned()).to_string();
        assert!(cut_off[..cut_off.len() - 4].parse::<Cursor<String>>().is_err());
        assert!(Cursor(vec![1_u8]).to_string().parse::<Cursor>().is_err(), "a key of another list");
        assert!(Cursor(vec![255_u8]).to_string().parse::<Cursor<String>>().is_err());
    }

    #[test]
    fn an_extra_item_means_a_next_page() {
        let size = PageSize::new(2).unwrap();
        let full = Page::from_overfetch(vec![1_u128, 2, 3], size, |n| Uuid::from_u128(*n));
        assert_eq!((full.items, full.next), (vec![1, 2], Some(Cursor(Uuid::from_u128(2)))));
        let last = Page::from_overfetch(vec![1_u128, 2], size, |n| Uuid::from_u128(*n));
        assert_eq!(last.next, None);
    }

    #[test]
    fn sizes_have_limits() {
        assert!(PageSize::new(0).is_err());
        assert!(PageSize::new(PageSize::MAX + 1).is_err());
    }
}
