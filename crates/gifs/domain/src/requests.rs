//! Requests: what clients ask for, in the form under which it is answered once for all of them, and how long an answer lasts.
//!
//! Ratings and languages are those of the Catalogue, which answers.

mod request;

pub use request::{CachePolicy, FindRequest, InvalidPageToken, InvalidQuery, PageToken, QueryText, Wanted};
