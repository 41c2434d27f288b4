//! Parameters of operations that return a page of a list.

use kennel_core::page::InvalidCursor;
use kennel_core::{Cursor, CursorKey, Page, PageSize};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::problem::HttpError;

/// The size and the start of a page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PageParams {
    /// Maximum number of items.
    #[param(minimum = 1, maximum = 1000, default = 50)]
    limit: Option<u32>,
    /// The start of the page: `next` of the previous page.
    #[param(format = "cursor")]
    cursor: Option<String>,
}

impl PageParams {
    /// The size of the page, by default 50.
    pub fn size(&self) -> Result<PageSize, HttpError> {
        page_size(self.limit)
    }

    /// The cursor after which the page starts, if it is not the first one.
    pub fn cursor<K: CursorKey>(&self) -> Result<Option<Cursor<K>>, HttpError> {
        page_cursor(self.cursor.as_deref())
    }
}

/// A page of a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct PageResponse<T> {
    /// The items.
    pub items: Vec<T>,
    /// The cursor of the next page; null on the last page.
    #[schema(required = true)]
    pub next: Option<String>,
}

impl<T> PageResponse<T> {
    /// Creates the response with `page`, whose items `item` converts.
    pub fn of<D, K: CursorKey>(page: Page<D, K>, item: impl FnMut(D) -> T) -> Self {
        Self { items: page.items.into_iter().map(item).collect(), next: page.next.map(|cursor| cursor.to_string()) }
    }
}

/// Parses the parameter `limit`.
pub fn page_size(limit: Option<u32>) -> Result<PageSize, HttpError> {
    let size = limit.map_or(Ok(PageSize::default()), PageSize::new);
    size.map_err(|error| HttpError::invalid("limit", error.to_string()))
}

/// Parses the parameter `cursor`.
pub fn page_cursor<K: CursorKey>(cursor: Option<&str>) -> Result<Option<Cursor<K>>, HttpError> {
    cursor.map(str::parse).transpose().map_err(|error: InvalidCursor| HttpError::invalid("cursor", error.to_string()))
}
