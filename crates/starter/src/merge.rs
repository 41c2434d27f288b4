//! Three-way merge of one file: what the user changed and what the generator changed, since the last generated version.

mod toml;

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

/// Merges texts. `base` is the last generated version, `ours` that of the user, `theirs` the new generated one. Lines that
/// both sides changed are a conflict, except in TOML files if they changed different keys.
pub fn merge(path: &str, base: &str, ours: &str, theirs: &str) -> Merged {
    if ours == base || ours == theirs {
        return Merged::Clean(theirs.to_owned());
    }
    if theirs == base {
        return Merged::Clean(ours.to_owned());
    }
    let text = lines(base, ours, theirs);
    if !has_extension(path, "toml") {
        return text;
    }
    match text {
        // Lines that merge can still define a key twice.
        Merged::Clean(text) if toml::is_valid(&text) || !toml::is_valid(ours) => Merged::Clean(text),
        Merged::Clean(_) | Merged::Conflict(_) => {
            toml::merge(base, ours, theirs).map_or_else(|| conflict_of(text, base, ours, theirs), Merged::Clean)
        }
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
