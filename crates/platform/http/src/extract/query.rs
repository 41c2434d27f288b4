//! Query strings.

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::de::DeserializeOwned;

use super::reject;
use crate::problem::HttpError;

/// The query string. A parameter without a value (`?cursor=`) counts as absent, because forms and URL templates send
/// those. Rejects an invalid value with 422 and the parameter's name, and an unknown name if `T` denies unknown fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Query<T> {
    type Rejection = HttpError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, HttpError> {
        parse(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

fn parse<T: DeserializeOwned>(query: &str) -> Result<T, HttpError> {
    // Collected first: the deserializer does not accept a filtered iterator.
    let given: String = query.split('&').filter(|pair| !is_empty(pair)).collect::<Vec<_>>().join("&");
    let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(given.as_bytes()));
    serde_path_to_error::deserialize(pairs).map_err(|error| reject(error.path(), &error.inner().to_string()))
}

fn is_empty(pair: &str) -> bool {
    pair.split_once('=').is_none_or(|(_, value)| value.is_empty())
}

#[cfg(test)]
mod tests {
    use kennel_core::ErrorKind;
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Paging {
        limit: Option<u32>,
        breed: String,
    }

    #[test]
    fn values_are_decoded() {
        let paging: Paging = parse("breed=hound%2Fafghan&limit=5").unwrap();
        assert_eq!((paging.breed.as_str(), paging.limit), ("hound/afghan", Some(5)));
    }

    #[test]
    fn a_parameter_without_a_value_is_absent() {
        let paging: Paging = parse("limit=&breed=a&cursor&order=").unwrap();
        assert_eq!((paging.breed.as_str(), paging.limit), ("a", None));
    }

    #[test]
    fn the_invalid_parameter_is_named() {
        for (query, name) in [
            ("breed=a&limit=many", "limit: "),
            ("limit=1", "breed: "),
            ("breed=a&colour=red", "colour: "),
            ("breed=a&breed=b", "breed: "),
        ] {
            let error = parse::<Paging>(query).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().starts_with(name), "{query}: {error}");
        }
    }
}
