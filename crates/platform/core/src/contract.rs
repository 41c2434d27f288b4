//! What code generated from a contract needs, whatever the protocol: the checks of values, and the failure of an operation.

use std::collections::BTreeMap;
use std::fmt::{Display, Write as _};
use std::ops::{Bound, RangeBounds};

use serde::{Deserialize, Deserializer};
use uuid::Uuid;

use crate::error::{BoxError, ErrorKind};
use crate::{Event, EventType, Timestamp};

/// Maximum number of violations that are collected; the first ones are enough to correct a request.
const MAX_VIOLATIONS: usize = 50;

/// Checks what the type of a value cannot express, such as the length of a text.
pub trait Validate {
    /// Adds the violations of this value.
    fn validate(&self, at: &mut Violations) {
        let _ = at;
    }
}

/// A value that its contract does not allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the value, such as `lines[1].quantity`.
    pub field: String,
    /// What the value has to be.
    pub reason: String,
}

/// Collects violations with their paths.
#[derive(Debug, Default)]
pub struct Violations {
    path: String,
    found: Vec<Violation>,
}

impl Violations {
    /// The violations of a value, at most 50.
    pub fn of(value: &impl Validate) -> Vec<Violation> {
        let mut violations = Self::default();
        value.validate(&mut violations);
        violations.found
    }

    /// Checks a field.
    pub fn field(&mut self, name: &str, check: impl FnOnce(&mut Self)) {
        let parent = self.path.len();
        if parent > 0 {
            self.path.push('.');
        }
        self.path.push_str(name);
        check(self);
        self.path.truncate(parent);
    }

    /// Checks every element of a list.
    pub fn each<T>(&mut self, elements: &[T], mut check: impl FnMut(&mut Self, &T)) {
        let parent = self.path.len();
        for (index, element) in elements.iter().enumerate() {
            // Writing to a `String` does not fail.
            write!(self.path, "[{index}]").ok();
            check(self, element);
            self.path.truncate(parent);
        }
    }

    /// Checks every value of a map.
    pub fn entries<T>(&mut self, map: &BTreeMap<String, T>, mut check: impl FnMut(&mut Self, &T)) {
        for (key, value) in map {
            self.field(key, |at| check(at, value));
        }
    }

    /// Adds a violation of the current value.
    pub fn add(&mut self, reason: impl Into<String>) {
        if self.found.len() < MAX_VIOLATIONS {
            self.found.push(Violation { field: self.path.clone(), reason: reason.into() });
        }
    }

    /// Checks the length of a text, in characters.
    pub fn length(&mut self, text: &str, allowed: impl RangeBounds<usize>) {
        self.within(text.chars().count(), &allowed, " characters long");
    }

    /// Checks the length of a list or the size of a map.
    pub fn count(&mut self, count: usize, allowed: impl RangeBounds<usize>) {
        self.within(count, &allowed, " elements");
    }

    /// Checks a number.
    pub fn range<N: Copy + PartialOrd + Display>(&mut self, number: N, allowed: impl RangeBounds<N>) {
        self.within(number, &allowed, "");
    }

    /// Adds a violation if a text does not match its pattern.
    pub fn pattern(&mut self, is_match: bool, pattern: &str) {
        if !is_match {
            self.add(format!("must match {pattern}"));
        }
    }

    fn within<N: Copy + PartialOrd + Display>(&mut self, number: N, allowed: &impl RangeBounds<N>, unit: &str) {
        if allowed.contains(&number) {
            return;
        }
        let from = match allowed.start_bound() {
            Bound::Included(from) => Some(format!("at least {from}")),
            Bound::Excluded(from) => Some(format!("more than {from}")),
            Bound::Unbounded => None,
        };
        let to = match allowed.end_bound() {
            Bound::Included(to) => Some(format!("at most {to}")),
            Bound::Excluded(to) => Some(format!("less than {to}")),
            Bound::Unbounded => None,
        };
        let bounds: Vec<_> = from.into_iter().chain(to).collect();
        self.add(format!("must be {}{unit}", bounds.join(" and ")));
    }
}

/// Deserializes an optional field that is there, so that `null` is not the same as an absent field. To be used together with
/// `default`.
pub fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// Creates the envelope of an event whose contract is a schema. Data that the schema does not allow is a failure of the
/// producer.
pub fn event<E: EventType + Validate>(id: Uuid, source: &str, time: Timestamp, data: &E) -> Result<Event, Failure> {
    if let Some(Violation { field, reason }) = Violations::of(data).into_iter().next() {
        return Err(Failure::new(ErrorKind::Internal, format!("{} cannot be published: {field}: {reason}", E::NAME)));
    }
    Event::new(id, source, time, data).map_err(|error| Failure::new(ErrorKind::Internal, error))
}

/// Decodes an event whose contract is a schema; `None` if it has another type. Fails if its data is not what the schema
/// allows, so that no later delivery can succeed.
pub fn read_event<E: EventType + Validate>(event: &Event) -> Result<Option<E>, BoxError> {
    let Some(data) = event.decode::<E>()? else { return Ok(None) };
    match Violations::of(&data).into_iter().next() {
        Some(Violation { field, reason }) => Err(format!("{}: {field}: {reason}", E::NAME).into()),
        None => Ok(Some(data)),
    }
}

/// Why an operation of a contract ended with none of the responses that it declares.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Failure {
    kind: ErrorKind,
    source: BoxError,
}

impl Failure {
    /// A failure with its cause. A client sees the text of the cause only if the kind says that the client is at fault.
    pub fn new(kind: ErrorKind, cause: impl Into<BoxError>) -> Self {
        Self { kind, source: cause.into() }
    }

    /// The operation has no implementation yet.
    pub fn unimplemented(operation: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("{operation} is not implemented"))
    }

    /// The kind, which determines the status code of each protocol.
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The cause.
    pub fn into_cause(self) -> BoxError {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Line(u32);

    struct Order {
        name: &'static str,
        lines: Vec<Line>,
        tags: BTreeMap<String, String>,
    }

    impl Validate for Line {
        fn validate(&self, at: &mut Violations) {
            at.field("quantity", |at| at.range(self.0, 1..=9));
        }
    }

    impl Validate for Order {
        fn validate(&self, at: &mut Violations) {
            at.field("name", |at| {
                at.length(self.name, 2..);
                at.pattern(self.name != "x", "^[^x]$");
            });
            at.field("lines", |at| {
                at.count(self.lines.len(), ..=2);
                at.each(&self.lines, |at, line| line.validate(at));
            });
            at.field("tags", |at| at.entries(&self.tags, |at, tag| at.length(tag, 1..=3)));
        }
    }

    #[test]
    fn every_violation_has_its_path() {
        let tags = BTreeMap::from([("a".to_owned(), "long".to_owned())]);
        let order = Order { name: "x", lines: vec![Line(1), Line(0), Line(10)], tags };
        let found: Vec<_> = Violations::of(&order).into_iter().map(|found| (found.field, found.reason)).collect();
        let expected = [
            ("name", "must be at least 2 characters long"),
            ("name", "must match ^[^x]$"),
            ("lines", "must be at most 2 elements"),
            ("lines[1].quantity", "must be at least 1 and at most 9"),
            ("lines[2].quantity", "must be at least 1 and at most 9"),
            ("tags.a", "must be at least 1 and at most 3 characters long"),
        ];
        assert_eq!(found, expected.map(|(field, reason)| (field.to_owned(), reason.to_owned())));
    }

    #[test]
    fn the_number_of_violations_is_limited() {
        let order = Order { name: "ab", lines: (0..1_000).map(|_| Line(0)).collect(), tags: BTreeMap::new() };
        assert_eq!(Violations::of(&order).len(), MAX_VIOLATIONS);
    }

    #[test]
    fn exclusive_bounds_of_numbers() {
        let check = |number: f64| {
            let mut violations = Violations::default();
            violations.range(number, (Bound::Excluded(0.0), Bound::Excluded(1.5)));
            violations.found.pop().map(|found| found.reason)
        };
        assert_eq!(check(1.0), None);
        assert_eq!(check(1.5).as_deref(), Some("must be more than 0 and less than 1.5"));
    }

    #[test]
    fn null_is_not_absent() {
        #[expect(clippy::option_option, reason = "absent, null and a number are three cases")]
        #[derive(Debug, PartialEq, Deserialize)]
        struct Fields {
            #[serde(default, deserialize_with = "present")]
            a: Option<u8>,
            #[serde(default, deserialize_with = "present")]
            b: Option<Option<u8>>,
        }
        let read = |text: &str| serde_json::from_str::<Fields>(text).ok();
        assert_eq!(read("{}"), Some(Fields { a: None, b: None }));
        assert_eq!(read(r#"{"a":1,"b":null}"#), Some(Fields { a: Some(1), b: Some(None) }));
        assert_eq!(read(r#"{"a":null}"#), None);
    }
}
