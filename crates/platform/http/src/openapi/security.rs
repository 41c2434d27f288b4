//! How callers authenticate, in the description of an API.

use http::Method;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{OpenApi, Ref, RefOr};

/// The name of the scheme with access tokens.
const TOKEN: &str = "token";
/// The name of the scheme with API keys.
const API_KEY: &str = "apiKey";

/// Adds the schemes, and to each operation that needs a known caller its scopes and the responses of refusals. `scopes` returns
/// those of a method and a route such as `/api/v1/dogs`, and nothing if anyone may call it.
pub fn secure<'a>(api: &mut OpenApi, scopes: impl Fn(&Method, &str) -> Option<Vec<&'a str>>) {
    let mut is_secure = false;
    for (path, item) in &mut api.paths.paths {
        for (method, operation) in operations(item) {
            let Some(scopes) = scopes(&method, path) else { continue };
            is_secure = true;
            let by = |scheme: &str| SecurityRequirement::new(scheme, scopes.iter().copied());
            operation.security = Some(vec![by(TOKEN), by(API_KEY)]);
            for (status, name) in [("401", "Unauthenticated"), ("403", "PermissionDenied")] {
                let refusal = || RefOr::Ref(Ref::from_response_name(name));
                operation.responses.responses.entry(status.to_owned()).or_insert_with(refusal);
            }
        }
    }
    if is_secure {
        let components = api.components.get_or_insert_default();
        components.add_security_scheme(TOKEN, token());
        components.add_security_scheme(API_KEY, api_key());
    }
}

fn token() -> SecurityScheme {
    let description =
        "An access token. The service may also be configured for API keys only, or for no authentication.";
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").description(Some(description));
    SecurityScheme::Http(scheme.build())
}

fn api_key() -> SecurityScheme {
    SecurityScheme::ApiKey(ApiKey::Header(ApiKeyValue::new("X-API-Key")))
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = (Method, &mut Operation)> {
    let PathItem { get, put, post, delete, options, head, patch, trace, .. } = item;
    let methods = [
        (Method::GET, get),
        (Method::PUT, put),
        (Method::POST, post),
        (Method::DELETE, delete),
        (Method::OPTIONS, options),
        (Method::HEAD, head),
        (Method::PATCH, patch),
        (Method::TRACE, trace),
    ];
    methods.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}
