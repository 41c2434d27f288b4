//! The routes of the gateway: what may be called, by whom, how often, and where it is.

mod fields;
mod file;
mod pattern;

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use kennel_core::Principal;
use url::Url;

use self::pattern::Pattern;

/// The routes of one system, used unless the settings name a file.
pub(crate) const MARKET: &str = include_str!("../routes.toml");

/// Everything in a routes file.
#[expect(clippy::struct_field_names, reason = "the file has routes among other things")]
#[derive(Debug, Clone, Default)]
pub(crate) struct Routes {
    pub(crate) upstreams: Vec<UpstreamConfig>,
    pub(crate) limits: Vec<LimitPolicy>,
    pub(crate) routes: Vec<Arc<Route>>,
    /// The patterns, the most specific first, each with the indexes of its routes.
    patterns: Vec<(Pattern, Vec<usize>)>,
}

/// A service behind the gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UpstreamConfig {
    pub(crate) name: String,
    pub(crate) urls: Vec<Url>,
    /// HTTP/2, also without TLS, as gRPC needs it.
    pub(crate) http2: bool,
    /// File with the CA certificates for `https`.
    pub(crate) ca: Option<String>,
    /// Requests and streams that may be open at once.
    pub(crate) max_in_flight: usize,
    /// Failures in a row that open the circuit; 0 for never.
    pub(crate) breaker_failures: u32,
    pub(crate) breaker_pause: Duration,
}

/// How many requests of a caller to a route are permitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LimitPolicy {
    pub(crate) name: String,
    pub(crate) requests: u32,
    /// In seconds.
    pub(crate) window: u32,
}

/// Who may call a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// Everyone. A token is not looked at, and passed on.
    Public,
    /// Who has all these scopes; any caller with a valid token if there are none.
    Scopes(Vec<String>),
}

impl Access {
    /// The scopes that a caller lacks.
    pub(crate) fn missing(&self, principal: &Principal) -> Vec<&str> {
        let Self::Scopes(scopes) = self else { return Vec::new() };
        scopes.iter().filter(|scope| !principal.has_scope(scope)).map(String::as_str).collect()
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    /// For metrics, logs and counters.
    pub(crate) name: String,
    pub(crate) pattern: Pattern,
    /// Empty for all.
    pub(crate) methods: Vec<Method>,
    /// Index of the upstream.
    pub(crate) upstream: usize,
    pub(crate) access: Access,
    /// Index of the policy.
    pub(crate) limit: Option<usize>,
    /// How long the response may take to start, from the last byte of the request on.
    pub(crate) timeout: Duration,
    /// How long a body may pause.
    pub(crate) idle_timeout: Duration,
    pub(crate) body_limit: u64,
    /// Whether concurrent requests without credentials share one response.
    pub(crate) coalesce: bool,
    /// Whether responses are streams, which end when the process stops.
    pub(crate) stream: bool,
    pub(crate) websocket: bool,
}

impl Route {
    fn permits(&self, method: &Method) -> bool {
        self.methods.is_empty()
            || self.methods.contains(method)
            || (*method == Method::HEAD && self.methods.contains(&Method::GET))
    }
}

/// What is at a path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    Route(&'a Arc<Route>),
    /// Only these methods.
    OtherMethods(Vec<&'a str>),
    Nothing,
}

impl Routes {
    /// The route of a path that is normal already.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found<'_> {
        let matching = self.patterns.iter().find(|(pattern, _)| pattern.matches(path));
        let Some((_, routes)) = matching else { return Found::Nothing };
        let routes = routes.iter().map(|route| &self.routes[*route]);
        if let Some(route) = routes.clone().find(|route| route.permits(method)) {
            return Found::Route(route);
        }
        let mut methods: Vec<_> = routes.flat_map(|route| &route.methods).map(Method::as_str).collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.dedup();
        Found::OtherMethods(methods)
    }

    /// Creates the list of patterns.
    fn index(&mut self) {
        let mut patterns: Vec<(Pattern, Vec<usize>)> = Vec::new();
        for (index, route) in self.routes.iter().enumerate() {
            match patterns.iter_mut().find(|(pattern, _)| *pattern == route.pattern) {
                Some((_, routes)) => routes.push(index),
                None => patterns.push((route.pattern.clone(), vec![index])),
            }
        }
        patterns.sort_by(|(a, _), (b, _)| a.specificity(b));
        self.patterns = patterns;
    }
}
