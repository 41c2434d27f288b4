//! Reads a routes file.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use kennel_config::{ByteSize, HumanDuration};
use toml::{Table, Value};
use url::Url;

use super::fields::{Fields, FileProblems};
use super::pattern::Pattern;
use super::{Access, LimitPolicy, Route, Routes, UpstreamConfig};

const DURATION: &str = "must be a duration such as 30s";
const SIZE: &str = "must be a size such as 1MiB";

impl Routes {
    /// Reads a file; `urls` replaces the URLs of upstreams by their names. Fails with all problems.
    pub(crate) fn parse(text: &str, urls: &[(String, Vec<String>)]) -> Result<Self, Vec<String>> {
        let table: Table = text.parse().map_err(|error: toml::de::Error| vec![error.to_string().trim().to_owned()])?;
        let mut problems = FileProblems::default();
        let mut routes = Self::default();
        for key in table.keys().filter(|key| !["upstreams", "limits", "routes"].contains(&key.as_str())) {
            problems.add(key, "is unknown");
        }
        for (name, upstream) in entries(&table, "upstreams", &mut problems) {
            let urls = urls.iter().find(|(known, _)| known == name).map(|(_, urls)| urls.as_slice());
            let fields = Fields::new(format!("upstreams.{name}"), upstream, &mut problems);
            routes.upstreams.extend(fields.map(|fields| read_upstream(name, urls, fields)));
        }
        for (name, _) in urls.iter().filter(|(name, _)| !routes.upstreams.iter().any(|known| known.name == *name)) {
            problems.add(name, "is not an upstream of the routes file");
        }
        for (name, limit) in entries(&table, "limits", &mut problems) {
            let fields = Fields::new(format!("limits.{name}"), limit, &mut problems);
            routes.limits.extend(fields.map(|fields| read_limit(name, fields)));
        }
        let list = table.get("routes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        if list.is_empty() {
            problems.add("routes", "must be a list of at least one route");
        }
        for (index, route) in list.iter().enumerate() {
            let fields = Fields::new(format!("routes[{index}]"), route, &mut problems);
            let route = fields.and_then(|fields| read_route(fields, &routes));
            routes.routes.extend(route.map(Arc::new));
        }
        check_routes(&routes.routes, &mut problems);
        routes.index();
        if problems.0.is_empty() { Ok(routes) } else { Err(problems.0) }
    }
}

fn entries<'a>(
    table: &'a Table,
    key: &str,
    problems: &mut FileProblems,
) -> impl Iterator<Item = (&'a String, &'a Value)> + use<'a> {
    let found = table.get(key);
    if found.is_some_and(|value| !value.is_table()) {
        problems.add(key, "must be a table");
    }
    found.and_then(Value::as_table).into_iter().flatten()
}

fn read_upstream(name: &str, other: Option<&[String]>, mut fields: Fields<'_>) -> UpstreamConfig {
    let written = fields.texts("urls").unwrap_or_default();
    let urls: Vec<&str> = other.map_or(written, |urls| urls.iter().map(String::as_str).collect());
    if urls.is_empty() {
        fields.add("urls", "must be at least one URL");
    }
    let mut parsed = Vec::new();
    for url in urls {
        let origin = Url::parse(url).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.path() == "/"
                && url.query().is_none()
                && url.username().is_empty()
                && url.password().is_none()
        });
        match origin {
            Some(url) => parsed.push(url),
            None => fields.add("urls", "must be URLs such as http://localhost:8080, without a path and a user"),
        }
    }
    let config = UpstreamConfig {
        name: name.to_owned(),
        urls: parsed,
        http2: fields.flag("http2"),
        ca: fields.text("ca").map(str::to_owned),
        max_in_flight: fields.number("max_in_flight", 1).unwrap_or(1_024) as usize,
        breaker_failures: fields.number("breaker_failures", 0).unwrap_or(20),
        breaker_pause: fields.parsed("breaker_pause", DURATION).map_or(Duration::from_secs(5), HumanDuration::get),
    };
    fields.finish();
    config
}

fn read_limit(name: &str, mut fields: Fields<'_>) -> LimitPolicy {
    let window = fields.parsed::<HumanDuration>("window", DURATION).map_or(60, |window| window.get().as_secs());
    let window = u32::try_from(window).ok().filter(|seconds| (1..=86_400).contains(seconds));
    if window.is_none() {
        fields.add("window", "must be 1s to 24h");
    }
    // The name is a string of structured fields in headers.
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_') {
        fields.add("name", "must be letters, digits, hyphens and underscores");
    }
    let requests = fields.number("requests", 1);
    if requests.is_none() {
        fields.add("requests", "is required");
    }
    fields.finish();
    LimitPolicy { name: name.to_owned(), requests: requests.unwrap_or(1), window: window.unwrap_or(60) }
}

fn read_route(mut fields: Fields<'_>, known: &Routes) -> Option<Route> {
    let name = fields.required("name");
    let pattern = fields.required("path").map(Pattern::parse);
    if pattern == Some(None) {
        fields.add("path", "must be a normal path such as /users/{id} or /assets/*");
    }
    let upstream = fields.required("upstream");
    let upstream = upstream.map(|name| known.upstreams.iter().position(|upstream| upstream.name == name));
    if upstream == Some(None) {
        fields.add("upstream", "is not one of the upstreams");
    }
    let limit = fields.text("limit").map(|name| known.limits.iter().position(|limit| limit.name == name));
    if limit == Some(None) {
        fields.add("limit", "is not one of the limits");
    }
    let route = Route {
        name: name.unwrap_or_default().to_owned(),
        methods: read_methods(&mut fields),
        access: read_access(&mut fields),
        limit: limit.flatten(),
        timeout: fields.parsed("timeout", DURATION).map_or(Duration::from_secs(30), HumanDuration::get),
        idle_timeout: fields.parsed("idle_timeout", DURATION).map_or(Duration::from_mins(1), HumanDuration::get),
        body_limit: fields.parsed("body_limit", SIZE).map_or(1024 * 1024, |size: ByteSize| size.bytes()),
        coalesce: fields.flag("coalesce"),
        stream: fields.flag("stream"),
        websocket: fields.flag("websocket"),
        pattern: pattern.flatten().or_else(|| Pattern::parse("/"))?,
        upstream: upstream.flatten().unwrap_or_default(),
    };
    if route.timeout.is_zero() || route.idle_timeout.is_zero() {
        fields.add("timeout", "must be longer than 0s");
    }
    if route.coalesce && (route.stream || route.websocket || route.access != Access::Public) {
        fields.add("coalesce", "is only possible for public routes without streams");
    }
    fields.finish();
    Some(route)
}

fn read_methods(fields: &mut Fields<'_>) -> Vec<Method> {
    let mut methods = Vec::new();
    for text in fields.texts("methods").unwrap_or_default() {
        match text.parse() {
            Ok(Method::CONNECT | Method::TRACE) | Err(_) => fields.add("methods", format!("cannot be {text:?}")),
            Ok(_) if text.bytes().any(|byte| byte.is_ascii_lowercase()) => {
                fields.add("methods", format!("cannot be {text:?}, methods are upper case"));
            }
            Ok(method) => methods.push(method),
        }
    }
    methods
}

/// Exactly one of the two is written, so that no route is public by mistake.
fn read_access(fields: &mut Fields<'_>) -> Access {
    let (public, scopes) = (fields.flag("public"), fields.texts("scopes"));
    match (public, scopes) {
        (true, None) => Access::Public,
        (false, Some(scopes)) => Access::Scopes(scopes.into_iter().map(str::to_owned).collect()),
        (true, Some(_)) => {
            fields.add("scopes", "cannot be required of a public route");
            Access::Public
        }
        (false, None) => {
            fields.add("scopes", "must be set, unless the route is `public = true`");
            Access::Public
        }
    }
}

/// Names are labels of metrics, and each request has one route.
fn check_routes(routes: &[Arc<Route>], problems: &mut FileProblems) {
    for (index, route) in routes.iter().enumerate() {
        for other in &routes[..index] {
            if other.name == route.name {
                problems.add(&format!("routes[{index}].name"), format!("{:?} is there twice", route.name));
            }
            let same = route.methods.is_empty()
                || other.methods.is_empty()
                || route.methods.iter().any(|method| other.methods.contains(method));
            if other.pattern == route.pattern && same {
                problems.add(&format!("routes[{index}].path"), format!("{:?} has a route for it already", other.name));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kennel_core::Principal;

    use super::*;
    use crate::routes::{Found, MARKET};

    #[test]
    fn the_routes_of_the_market_are_valid() {
        let routes = Routes::parse(MARKET, &[]).unwrap();
        let Found::Route(route) = routes.find(&Method::GET, "/api/v1/candles") else { panic!("there is a route") };
        assert_eq!(route.name, "candles");
    }

    /// The roles of the market, as their scopes, and the routes that they open. Every route of the file is in the table.
    #[test]
    fn roles_of_the_market_open_these_routes() {
        const ANYONE: [&str; 9] =
            ["instruments", "page", "reflection", "reflection-alpha", "log-in", "refresh", "log-out", "token", "keys"];
        const READERS: [&str; 8] =
            ["candles", "latest", "gaps", "stream", "analytics", "candles-grpc", "analytics-grpc", "stream-grpc"];
        let routes = Routes::parse(MARKET, &[]).unwrap();
        let opens = |route: &Route, scopes: &[&str]| {
            let principal = Principal::new("someone", scopes.iter().copied());
            route.access == Access::Public || route.access.missing(&principal).is_empty()
        };
        for route in &routes.routes {
            let (anyone, readers) = (ANYONE.contains(&route.name.as_str()), READERS.contains(&route.name.as_str()));
            assert!(anyone != readers, "{} is in the table once", route.name);
            assert_eq!(route.access == Access::Public, anyone, "{}", route.name);
            assert_eq!(opens(route, &[]), anyone, "{}", route.name);
            assert!(opens(route, &["market:read"]), "{}", route.name);
            assert_eq!(opens(route, &["market:write", "market"]), anyone, "{}", route.name);
        }
        assert_eq!(routes.routes.len(), ANYONE.len() + READERS.len());
    }

    #[test]
    fn all_problems_are_reported_at_once() {
        let text = r#"
            colour = "red"
            [upstreams.a]
            urls = ["http://localhost:1", "http://user@b:1/", "b"]
            max_in_flight = 0
            speed = 1
            [upstreams.b]
            [limits."x y"]
            window = "0s"
            [[routes]]
            name = "one"
            path = "/a//b"
            upstream = "c"
            limit = "y"
            methods = ["GET", "get", "TRACE"]
            [[routes]]
            name = "one"
            path = "/"
            upstream = "a"
            public = true
            scopes = ["x"]
            timeout = 5
            [[routes]]
            path = "/"
            upstream = "a"
            scopes = []
            coalesce = true
        "#;
        let mut found = Routes::parse(text, &[("z".to_owned(), Vec::new())]).unwrap_err();
        found.sort();
        let places: Vec<_> = found.iter().map(|problem| problem.split(": ").next().unwrap()).collect();
        assert_eq!(
            places,
            [
                "colour",
                "limits.x y.name",
                "limits.x y.requests",
                "limits.x y.window",
                "routes[0].limit",
                "routes[0].methods",
                "routes[0].methods",
                "routes[0].path",
                "routes[0].scopes",
                "routes[0].upstream",
                "routes[1].name",
                "routes[1].path",
                "routes[1].scopes",
                "routes[1].timeout",
                "routes[2].coalesce",
                "routes[2].name",
                "routes[2].path",
                "routes[2].path",
                "upstreams.a.max_in_flight",
                "upstreams.a.speed",
                "upstreams.a.urls",
                "upstreams.a.urls",
                "upstreams.b.urls",
                "z",
            ],
            "{found:#?}"
        );
        assert_eq!(Routes::parse("a = ", &[]).unwrap_err().len(), 1);
        assert_eq!(Routes::parse("", &[]).unwrap_err().len(), 1);
    }

    #[test]
    fn methods_of_one_path_may_have_routes_of_their_own() {
        let text = r#"
            [upstreams.a]
            urls = ["http://localhost:1"]
            [[routes]]
            name = "read"
            path = "/notes/{id}"
            methods = ["GET"]
            upstream = "a"
            public = true
            [[routes]]
            name = "write"
            path = "/notes/{id}"
            methods = ["PUT", "DELETE"]
            upstream = "a"
            scopes = ["notes:write"]
        "#;
        let routes = Routes::parse(text, &[("a".to_owned(), vec!["https://a:2".to_owned()])]).unwrap();
        assert_eq!(routes.upstreams[0].urls[0].as_str(), "https://a:2/");
        let name = |method, path| match routes.find(&method, path) {
            Found::Route(route) => route.name.clone(),
            Found::OtherMethods(methods) => methods.join(" "),
            Found::Nothing => "nothing".to_owned(),
        };
        assert_eq!(name(Method::GET, "/notes/1"), "read");
        assert_eq!(name(Method::HEAD, "/notes/1"), "read");
        assert_eq!(name(Method::DELETE, "/notes/1"), "write");
        assert_eq!(name(Method::PATCH, "/notes/1"), "DELETE GET HEAD PUT");
        assert_eq!(name(Method::GET, "/notes"), "nothing");
    }
}
