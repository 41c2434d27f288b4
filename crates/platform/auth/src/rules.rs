//! What each operation of a service needs.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};

use http::Method;
use kennel_net::Operation;

/// What a caller needs for an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Nothing: anyone may call it.
    Public,
    /// To be known.
    Authenticated,
    /// This scope.
    Scope(Cow<'static, str>),
}

impl Access {
    /// The scopes that a caller needs; `None` if it need not be known.
    pub fn scopes(&self) -> Option<Vec<&str>> {
        match self {
            Self::Public => None,
            Self::Authenticated => Some(Vec::new()),
            Self::Scope(scope) => Some(vec![scope]),
        }
    }
}

/// What each operation of a service needs. An operation that is not listed needs what [`others`](Self::others) says; without
/// it, it is refused to everyone.
///
/// A route is written as its method and its template, `GET /api/v1/dogs/{id}`; `HEAD` needs what `GET` needs. A method of gRPC
/// is written as in its path, `dogs.v1.DogService/GetDog`.
#[derive(Debug, Clone, Default)]
pub struct AccessRules {
    routes: HashMap<String, Vec<(String, Access)>>,
    methods: HashMap<String, Access>,
    repeated: Vec<String>,
    others: Option<Others>,
}

/// What the operations need that are not listed.
#[derive(Debug, Clone)]
struct Others {
    reads: Access,
    writes: Access,
}

impl AccessRules {
    /// Rules that refuse everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Anyone may call these operations.
    #[must_use]
    pub fn public(self, operations: impl IntoIterator<Item: Into<String>>) -> Self {
        self.with(&Access::Public, operations)
    }

    /// Callers that are known may call these operations.
    #[must_use]
    pub fn authenticated(self, operations: impl IntoIterator<Item: Into<String>>) -> Self {
        self.with(&Access::Authenticated, operations)
    }

    /// Callers with this scope may call these operations.
    #[must_use]
    pub fn scope(self, scope: impl Into<Cow<'static, str>>, operations: impl IntoIterator<Item: Into<String>>) -> Self {
        self.with(&Access::Scope(scope.into()), operations)
    }

    /// All operations that are not listed need one of these scopes: `reads` those that only read, and `writes` all others. A
    /// route reads with `GET`; a method of gRPC, if its `idempotency_level` is `NO_SIDE_EFFECTS`.
    #[must_use]
    pub fn others(self, reads: impl Into<Cow<'static, str>>, writes: impl Into<Cow<'static, str>>) -> Self {
        let (reads, writes) = (Access::Scope(reads.into()), Access::Scope(writes.into()));
        Self { others: Some(Others { reads, writes }), ..self }
    }

    fn with(mut self, access: &Access, operations: impl IntoIterator<Item: Into<String>>) -> Self {
        for operation in operations {
            let operation = operation.into();
            let is_new = match operation.split_once(' ') {
                Some(("HEAD", _)) => false,
                Some((method, route)) => {
                    let methods = self.routes.entry(route.to_owned()).or_default();
                    let is_new = methods.iter().all(|(known, _)| *known != method);
                    methods.push((method.to_owned(), access.clone()));
                    is_new
                }
                None => match self.methods.entry(operation.clone()) {
                    Entry::Vacant(vacant) => {
                        vacant.insert(access.clone());
                        true
                    }
                    Entry::Occupied(_) => false,
                },
            };
            if !is_new {
                self.repeated.push(operation);
            }
        }
        self
    }

    /// What an operation needs; `None` if it is refused to everyone.
    pub fn find(&self, operation: Operation<'_>) -> Option<&Access> {
        let (listed, reads) = match operation {
            Operation::Grpc { path, reads } => (self.methods.get(path.strip_prefix('/')?), reads),
            Operation::Http(method, route) => {
                let method = if *method == Method::HEAD { &Method::GET } else { method };
                let of_route = self.routes.get(route).map_or(&[][..], Vec::as_slice);
                let found = of_route.iter().find(|(known, _)| known == method.as_str());
                (found.map(|(_, access)| access), method == Method::GET)
            }
        };
        listed.or_else(|| self.others.as_ref().map(|others| if reads { &others.reads } else { &others.writes }))
    }

    /// Whether every operation has a rule.
    pub const fn covers_all(&self) -> bool {
        self.others.is_some()
    }

    /// Every listed operation with what it needs, in alphabetical order.
    pub fn all(&self) -> BTreeMap<String, &Access> {
        let routes = self.routes.iter().flat_map(|(route, methods)| {
            methods.iter().map(move |(method, access)| (format!("{method} {route}"), access))
        });
        routes.chain(self.methods.iter().map(|(method, access)| (method.clone(), access))).collect()
    }

    /// The scope that each operation needs: empty if the caller has to be known only, `None` if anyone may call it.
    pub fn scopes(&self) -> BTreeMap<String, Option<String>> {
        let scope = |access: &Access| access.scopes().map(|scopes| scopes.concat());
        self.all().into_iter().map(|(operation, access)| (operation, scope(access))).collect()
    }

    /// The operations that are listed more than once, and those with `HEAD`, whose rule is that of `GET`: a mistake.
    pub fn repeated(&self) -> &[String] {
        &self.repeated
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(name: &'static str) -> Access {
        Access::Scope(name.into())
    }

    const fn grpc(path: &str) -> Operation<'_> {
        Operation::Grpc { path, reads: true }
    }

    fn rules() -> AccessRules {
        AccessRules::new()
            .public(["GET /"])
            .authenticated(["GET /me"])
            .scope("notes:read", ["GET /notes/{id}", "notes.v1.NoteService/GetNote"])
            .scope("notes:write", ["PUT /notes/{id}"])
    }

    #[test]
    fn each_operation_has_its_own_rule_and_others_have_none() {
        let rules = rules();
        for (method, route, access) in [
            (Method::GET, "/", Some(&Access::Public)),
            (Method::GET, "/me", Some(&Access::Authenticated)),
            (Method::GET, "/notes/{id}", Some(&scope("notes:read"))),
            (Method::HEAD, "/notes/{id}", Some(&scope("notes:read"))),
            (Method::PUT, "/notes/{id}", Some(&scope("notes:write"))),
            (Method::DELETE, "/notes/{id}", None),
            (Method::GET, "/notes", None),
        ] {
            assert_eq!(rules.find(Operation::Http(&method, route)), access, "{method} {route}");
        }
        assert_eq!(rules.find(grpc("/notes.v1.NoteService/GetNote")), Some(&scope("notes:read")));
        for path in
            ["notes.v1.NoteService/GetNote", "/notes.v1.NoteService/getnote", "/notes.v1.NoteService/GetNote/", ""]
        {
            assert_eq!(rules.find(grpc(path)), None, "{path}");
        }
        let scopes = rules.scopes();
        assert_eq!(scopes.len(), 5);
        let scope_of = |operation: &str| scopes[operation].as_deref();
        assert_eq!(
            [scope_of("GET /"), scope_of("GET /me"), scope_of("PUT /notes/{id}")],
            [None, Some(""), Some("notes:write")]
        );
    }

    #[test]
    fn others_need_a_scope_for_reading_and_one_for_writing() {
        let rules = rules().others("notes:read", "notes:write");
        for (operation, access) in [
            (Operation::Http(&Method::GET, "/"), Access::Public),
            (Operation::Http(&Method::GET, "/notes"), scope("notes:read")),
            (Operation::Http(&Method::HEAD, "/notes"), scope("notes:read")),
            (Operation::Http(&Method::POST, "/notes"), scope("notes:write")),
            (Operation::Http(&Method::OPTIONS, "/"), scope("notes:write")),
            (grpc("/notes.v1.NoteService/ListNotes"), scope("notes:read")),
            (Operation::Grpc { path: "/notes.v1.NoteService/CreateNote", reads: false }, scope("notes:write")),
            (Operation::Grpc { path: "/notes.v1.NoteService/GetNote", reads: false }, scope("notes:read")),
        ] {
            assert_eq!(rules.find(operation), Some(&access), "{operation:?}");
        }
        assert!(rules.covers_all() && !self::rules().covers_all());
    }

    #[test]
    fn a_rule_for_head_is_reported_and_does_not_apply() {
        let rules = rules().public(["HEAD /notes/{id}", "HEAD /other"]);
        assert_eq!(rules.repeated(), ["HEAD /notes/{id}", "HEAD /other"]);
        assert_eq!(rules.find(Operation::Http(&Method::HEAD, "/notes/{id}")), Some(&scope("notes:read")));
        assert_eq!(rules.find(Operation::Http(&Method::HEAD, "/other")), None);
    }

    #[test]
    fn an_operation_that_is_listed_twice_is_reported() {
        assert!(rules().repeated().is_empty());
        let again = rules().public(["GET /notes/{id}", "notes.v1.NoteService/GetNote"]);
        assert_eq!(again.repeated(), ["GET /notes/{id}", "notes.v1.NoteService/GetNote"]);
        let first = again.find(Operation::Http(&Method::GET, "/notes/{id}"));
        assert_eq!(first, Some(&scope("notes:read")), "the first one applies");
        let first = again.find(grpc("/notes.v1.NoteService/GetNote"));
        assert_eq!(first, Some(&scope("notes:read")), "the first one applies");
    }
}
