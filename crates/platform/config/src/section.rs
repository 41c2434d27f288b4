//! A group of settings.

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::problem::{ConfigErrors, Problems};

/// Related settings: a plain struct with `#[serde(default)]`. Its field names are the keys and its doc comments the
/// documentation. Fields are flat: numbers, flags, text, unit enums, lists of these, options of these. A secret is an
/// `Option<`[`Secret`](crate::Secret)`>`. A field with `#[serde(skip)]` is not a setting.
///
/// Each crate defines the section of what it configures; a service lists the sections that it uses.
pub trait Section: Default + Serialize + DeserializeOwned + JsonSchema {
    /// Heading in the reference.
    const TITLE: &'static str;

    /// Adds problems that the types cannot express, for single settings.
    fn check(&self, problems: &mut Problems) {
        let _ = problems;
    }

    /// Returns the errors of a section that was not loaded, and may be wrong.
    fn validate(&self) -> Result<(), ConfigErrors> {
        let mut problems = Problems::default();
        self.check(&mut problems);
        problems.into_result().map(drop)
    }
}
