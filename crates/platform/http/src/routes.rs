//! Lists the routes of a router, for tests.

use axum::Router;

const METHODS: [&str; 8] = ["get", "delete", "options", "patch", "post", "put", "trace", "connect"];

/// The routes of a router as method and template, `GET /api/v1/dogs/{id}`, in alphabetical order. A route for every method has
/// the method `*`.
///
/// A router does not list its routes, so this reads its debug format, and must not be used outside tests. `HEAD` is left out: it
/// is `GET` without the body.
pub fn of<S>(router: &Router<S>) -> Vec<String> {
    let text = format!("{router:?}");
    // The routes that are only fallbacks come later.
    let text = text.split("fallback_router").next().unwrap_or_default();
    let (endpoints, paths) = text.split_once("node: Node").unwrap_or_default();
    let mut found: Vec<_> = paths.split("RouteId(").skip(1).flat_map(|entry| entries(entry, endpoints)).collect();
    found.sort();
    found
}

/// The routes of one path: `entry` is the rest of `RouteId(3): "/api/v1/dogs"`.
fn entries(entry: &str, endpoints: &str) -> Vec<String> {
    let Some((id, path)) = entry.split_once("): \"").and_then(|(id, rest)| Some((id, rest.split_once('"')?.0))) else {
        return Vec::new();
    };
    let Some((_, endpoint)) = endpoints.split_once(&format!("RouteId({id}): ")) else { return Vec::new() };
    let endpoint = endpoint.split("RouteId(").next().unwrap_or_default();
    if !endpoint.starts_with("MethodRouter") {
        return vec![format!("* {path}")];
    }
    let has =
        |method: &str| endpoint.contains(&format!(" {method}: ")) && !endpoint.contains(&format!(" {method}: None"));
    let mut found: Vec<_> =
        METHODS.iter().filter(|method| has(method)).map(|method| format!("{} {path}", method.to_uppercase())).collect();
    // The handler of every other method.
    if !endpoint.contains(" fallback: Default(") {
        found.push(format!("* {path}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use axum::routing::{any, delete, get, post};

    use super::*;

    #[test]
    fn every_route_is_listed_however_it_was_added() {
        async fn handler() {}
        let merged = Router::new().route("/merged/{*rest}", post(handler));
        let nested = Router::new().route("/inner", get(handler));
        let router: Router<()> = Router::new()
            .route("/", get(handler))
            .route("/dogs/{id}", get(handler).put(handler))
            .route("/dogs/{id}", delete(handler))
            .route("/any", any(handler))
            .route_service("/service", get(handler))
            .merge(merged)
            .nest("/outer", nested)
            .fallback(handler);
        let expected = [
            "* /service",
            "DELETE /dogs/{id}",
            "GET /",
            "GET /dogs/{id}",
            "GET /outer/inner",
            "POST /merged/{*rest}",
            "PUT /dogs/{id}",
        ];
        let found = of(&router);
        assert_eq!(
            found.iter().filter(|route| !route.ends_with(" /any")).collect::<Vec<_>>(),
            expected.iter().collect::<Vec<_>>()
        );
        assert!(found.iter().any(|route| route.ends_with(" /any")), "{found:?}");
        assert_eq!(of(&router.layer(axum::extract::DefaultBodyLimit::max(1))), found);
    }
}
