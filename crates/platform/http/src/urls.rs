//! The absolute URLs in responses.

use std::fmt::Display;

use kennel_core::{Cursor, CursorKey, Order, PageSize};
use url::form_urlencoded::Serializer;

/// Builds URLs that clients can reach.
#[derive(Debug, Clone)]
pub struct UrlBuilder {
    base: String,
}

impl UrlBuilder {
    /// Builds URLs below `public_url`, with or without a trailing slash.
    pub fn new(public_url: &str) -> Self {
        Self { base: public_url.trim_end_matches('/').to_owned() }
    }

    /// The URL of a path, which starts with a slash.
    pub fn url(&self, path: impl Display) -> String {
        format!("{}{path}", self.base)
    }

    /// The URL of a page of the list at `path`, with the `filters` that have a value; of the first page without a cursor.
    pub fn page<K: CursorKey>(
        &self,
        path: &str,
        order: Order,
        size: PageSize,
        filters: &[(&str, Option<&str>)],
        cursor: Option<Cursor<K>>,
    ) -> String {
        let order = match order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let cursor = cursor.map(|cursor| cursor.to_string());
        let filters = filters.iter().copied().chain([("cursor", cursor.as_deref())]);
        let url = format!("{}{path}?", self.base);
        let query_start = url.len();
        let mut query = Serializer::for_suffix(url, query_start);
        query.append_pair("order", order).append_pair("limit", &size.get().to_string());
        query.extend_pairs(filters.filter_map(|(name, value)| Some((name, value?)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn page_urls_contain_the_parameters() {
        let urls = UrlBuilder::new("https://kennel.example/base/");
        let size = PageSize::new(7).unwrap();
        let cursor = Cursor(uuid::Uuid::from_u128(1));
        assert_eq!(
            urls.page("/api/v1/items", Order::Ascending, size, &[("kind", Some("a&b")), ("name", None)], Some(cursor)),
            format!("https://kennel.example/base/api/v1/items?order=asc&limit=7&kind=a%26b&cursor={cursor}")
        );
        assert_eq!(
            urls.page("/api/v1/items", Order::Descending, PageSize::default(), &[], None::<Cursor>),
            "https://kennel.example/base/api/v1/items?order=desc&limit=50"
        );
    }
}
