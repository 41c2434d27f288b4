//! Three-way merge of one file: what the user changed and what the generator changed, since the last generated version.

mod toml;
mod yaml;

use diffy::MergeOptions;

use crate::rustfmt::has_extension;

/// The result of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merged {
    /// Both changes are in the text.
    Clean(String),
    /// Both sides changed the same lines: the text has both, between the conflict markers of Git.
    Conflict(String),
}

/// The first line of a conflict.
pub const MARKER: &str = "<<<<<<< ours";

/// A format that can be merged by key.
struct Format {
    is_valid: fn(&str) -> bool,
    /// `None` if both sides changed the same key.
    merge: fn(&str, &str, &str) -> Option<String>,
    /// Whether the merge of the lines, which is valid, has the values of the merge by key.
    is_equal: fn(&str, &str) -> bool,
}

impl Format {
    fn of(path: &str) -> Option<Self> {
        let is_any = |extensions: &[&str]| extensions.iter().any(|extension| has_extension(path, extension));
        if is_any(&["toml"]) {
            return Some(Self { is_valid: toml::is_valid, merge: toml::merge, is_equal: toml::is_equal });
        }
        let is_valid = if is_any(&["json"]) { yaml::is_valid_json } else { yaml::is_valid };
        is_any(&["yaml", "yml", "json"]).then_some(Self { is_valid, merge: yaml::merge, is_equal: yaml::is_equal })
    }

    fn merge(&self, lines: Merged, base: &str, ours: &str, theirs: &str) -> Merged {
        let by_key = (self.merge)(base, ours, theirs).filter(|text| (self.is_valid)(text));
        match (lines, by_key) {
            // Lines that merge can still define a key twice.
            (Merged::Clean(lines), _) if !(self.is_valid)(ours) => Merged::Clean(lines),
            (Merged::Clean(lines), Some(text)) if (self.is_valid)(&lines) && (self.is_equal)(&lines, &text) => {
                Merged::Clean(lines)
            }
            (_, Some(text)) => Merged::Clean(text),
            (Merged::Clean(lines), None) if (self.is_valid)(&lines) => Merged::Clean(lines),
            (lines, None) => conflict_of(lines, base, ours, theirs),
        }
    }
}

/// Merges texts. `base` is the last generated version, `ours` that of the user, `theirs` the new generated one. Lines that
/// both sides changed are a conflict, except in TOML, YAML and JSON files if they changed different keys.
pub fn merge(path: &str, base: &str, ours: &str, theirs: &str) -> Merged {
    if ours == base || ours == theirs {
        return Merged::Clean(theirs.to_owned());
    }
    if theirs == base {
        return Merged::Clean(ours.to_owned());
    }
    let lines = lines(base, ours, theirs);
    match Format::of(path) {
        Some(format) => format.merge(lines, base, ours, theirs),
        None => lines,
    }
}

/// A file that both sides added, and whose lines therefore have no common past.
pub fn merge_added(ours: &str, theirs: &str) -> Merged {
    if ours == theirs { Merged::Clean(theirs.to_owned()) } else { Merged::Conflict(whole("", ours, theirs)) }
}

/// Whether the text has a conflict that nobody has resolved.
pub fn has_conflict(text: &str) -> bool {
    text.lines().any(|line| line == MARKER)
}

fn lines(base: &str, ours: &str, theirs: &str) -> Merged {
    // Markers would be glued to a last line without an end.
    let ended =
        |text: &str| if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let is_ended = |text: &str| text.is_empty() || text.ends_with('\n');
    match MergeOptions::new().merge(&ended(base), &ended(ours), &ended(theirs)) {
        Err(text) => Merged::Conflict(text),
        Ok(mut text) => {
            let end = if is_ended(ours) == is_ended(base) { is_ended(theirs) } else { is_ended(ours) };
            if !end && text.ends_with('\n') {
                text.pop();
            }
            Merged::Clean(text)
        }
    }
}

fn conflict_of(text: Merged, base: &str, ours: &str, theirs: &str) -> Merged {
    match text {
        Merged::Conflict(text) => Merged::Conflict(text),
        Merged::Clean(_) => Merged::Conflict(whole(base, ours, theirs)),
    }
}

/// All of each side.
fn whole(base: &str, ours: &str, theirs: &str) -> String {
    let ended =
        |text: &str| if text.is_empty() || text.ends_with('\n') { text.to_owned() } else { format!("{text}\n") };
    let (base, ours, theirs) = (ended(base), ended(ours), ended(theirs));
    format!("{MARKER}\n{ours}||||||| original\n{base}=======\n{theirs}>>>>>>> theirs\n")
}

#[cfg(test)]
mod tests;
