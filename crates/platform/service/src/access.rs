//! Who may call what: the rules of a service, those of the platform, and the check that none is missing.

use std::collections::BTreeSet;

use anyhow::ensure;
use kennel_auth::AccessRules;

use crate::Service;

/// The routes that every service has: anyone may call them.
const ROUTES: [&str; 8] = [
    "GET /live",
    "GET /ready",
    "GET /openapi.json",
    "GET /documentation",
    "GET /documentation/",
    "GET /documentation/{*file}",
    "GET /swagger",
    "GET /swagger/",
];
/// The methods of gRPC that every service has: anyone may call them.
const METHODS: [&str; 4] = [
    "grpc.health.v1.Health/Check",
    "grpc.health.v1.Health/Watch",
    "grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
];

/// The rules of a service with those of the platform.
pub(crate) fn rules<S: Service>() -> AccessRules {
    S::access().public(ROUTES).public(METHODS)
}

/// Fails if a route has no rule, or a rule no route. For a test: listing the routes is too expensive for a start.
pub(crate) fn check_routes<S: Service>() -> anyhow::Result<()> {
    let (routes, _) = S::http().split_for_parts();
    let routes = kennel_http::routes::of(&routes).into_iter().collect();
    check::<S>(|operation| operation.contains(' '), &routes)
}

/// Fails if a method of the running server has no rule, or a rule no method.
pub(crate) fn check_methods<S: Service>(methods: &BTreeSet<String>) -> anyhow::Result<()> {
    check::<S>(|operation| !operation.contains(' '), methods)
}

fn check<S: Service>(of_kind: impl Fn(&str) -> bool, existing: &BTreeSet<String>) -> anyhow::Result<()> {
    let problems = problems(&S::access(), of_kind, existing);
    ensure!(problems.is_empty(), "the service `{}`: {}", S::NAME, problems.join("; "));
    Ok(())
}

fn problems(rules: &AccessRules, of_kind: impl Fn(&str) -> bool, existing: &BTreeSet<String>) -> Vec<String> {
    let listed: BTreeSet<_> = rules.all().into_keys().filter(|operation| of_kind(operation)).collect();
    let unlisted = existing
        .difference(&listed)
        .filter(|_| !rules.covers_all())
        .map(|operation| format!("`{operation}` has no access rule"));
    let unknown =
        listed.difference(existing).map(|operation| format!("the access rule of `{operation}` is of nothing"));
    let repeated = rules.repeated().iter().map(|operation| format!("`{operation}` has two access rules"));
    unlisted.chain(unknown).chain(repeated).collect()
}
