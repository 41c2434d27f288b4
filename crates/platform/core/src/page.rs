//! Keyset pagination: a page starts after a key, never at an offset, so concurrent writes cannot shift rows between
//! pages.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

/// Sort order of a listing, by id and therefore by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Order {
    /// Newest first.
    #[default]
    Descending,
    /// Oldest first.
    Ascending,
}

/// Position after which the next page starts. Opaque to callers; it never expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor(pub Uuid);

/// The text is not a cursor.
#[derive(Debug, thiserror::Error)]
#[error("not a cursor from an earlier page")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| InvalidCursor)?;
        Uuid::from_slice(&bytes).map(Self).map_err(|_| InvalidCursor)
    }
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
pub struct Page<T> {
    /// The items, in the requested order.
    pub items: Vec<T>,
    /// Cursor of the next page; `None` on the last page.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Creates a page of up to `size` items from the result of a query for `size + 1` items: an extra item means that
    /// there is a next page. `key` returns the id of an item.
    pub fn from_overfetch(mut items: Vec<T>, size: PageSize, key: impl Fn(&T) -> Uuid) -> Self {
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
        assert!("".parse::<Cursor>().is_err());
        assert!("../etc".parse::<Cursor>().is_err());
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
