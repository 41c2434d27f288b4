//! Decides what happens to each file, in memory: what was generated last, what the user has, what is generated now.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::generate::Files;
use crate::merge::{self, Merged};
use crate::state::{Base, Pristine};

/// What an update does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The new content of files, or `None` for those to remove. Files that stay as they are are not listed.
    pub changes: BTreeMap<String, Option<Vec<u8>>>,
    /// The files as generated now, for the next update.
    pub base: Base,
    /// What to report, in order of the paths.
    pub events: BTreeSet<(String, Event)>,
    /// The versions of files with a new conflict.
    pub conflicts: BTreeMap<String, Sides>,
    /// Whether a file was not updated because of an earlier conflict, so that another update is needed after it is resolved.
    pub is_incomplete: bool,
}

/// The versions of a file with a conflict, in the order of the index of Git.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sides {
    /// As generated last, if it was.
    pub base: Option<Vec<u8>>,
    /// That of the user.
    pub ours: Vec<u8>,
    /// As generated now.
    pub theirs: Vec<u8>,
}

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// It is new.
    Created,
    /// The user had not changed it.
    Updated,
    /// The changes of both sides are in it.
    Merged,
    /// It has another path than before, which is given.
    Renamed(String),
    /// It is not generated any more, and the user had not changed it.
    Removed,
    /// It is not generated any more, but the user has changed it.
    Orphaned,
    /// The user has deleted it.
    StaysDeleted,
    /// Both sides changed the same lines.
    Conflict,
    /// It has the markers of an earlier conflict.
    Unresolved,
    /// It is not text, and both sides changed it: it stays as it is.
    Binary,
}

impl Event {
    /// Whether somebody has to edit the file.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Conflict | Self::Unresolved | Self::Binary)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("created"),
            Self::Updated => f.write_str("updated"),
            Self::Merged => f.write_str("merged with your changes"),
            Self::Renamed(from) => write!(f, "renamed from {from}"),
            Self::Removed => f.write_str("removed: it is not generated any more"),
            Self::Orphaned => f.write_str("not generated any more, but changed by you: it is yours now"),
            Self::StaysDeleted => f.write_str("stays deleted"),
            Self::Conflict => f.write_str("conflict: edit it and remove the markers"),
            Self::Unresolved => f.write_str("has unresolved conflict markers"),
            Self::Binary => f.write_str("conflict: your version is not UTF-8 text, and stays as it is"),
        }
    }
}

/// Plans an update. `read` returns the user's file at a path.
pub fn plan(base: &Base, read: &dyn Fn(&str) -> Option<Vec<u8>>, new: &Files) -> Update {
    let mut planner =
        Planner { base, read, results: BTreeMap::new(), events: BTreeSet::new(), conflicts: BTreeMap::new() };
    let sources = sources(base, new);
    let mut next = Base::new();
    let mut is_incomplete = false;
    for (path, file) in new {
        let source = sources.get(path.as_str()).copied();
        let ejected = source.is_some_and(|source| base[source].ejected);
        match source {
            Some(source) if ejected => {
                // It stays where it is, also if others of its project are renamed.
                next.insert(source.to_owned(), base[source].clone());
                continue;
            }
            // The new version would be merged into both sides of the conflict.
            Some(source) if planner.is_unresolved(source) => {
                planner.report(source, Event::Unresolved);
                is_incomplete |= source != path || base[source].text != file.text;
                next.insert(source.to_owned(), base[source].clone());
                continue;
            }
            Some(source) => planner.merge(source, path, &file.text),
            None => planner.add(path, &file.text),
        }
        next.insert(path.clone(), Pristine { id: file.id.clone(), text: file.text.clone(), ejected: false });
    }
    let used: BTreeSet<_> = sources.values().copied().collect();
    for (path, pristine) in base.iter().filter(|(path, _)| !used.contains(path.as_str())) {
        if pristine.ejected {
            continue;
        }
        planner.orphan(path, pristine);
    }
    Update { is_incomplete, ..planner.finish(next, &sources) }
}

/// For each new path, that of the file in the base: of the same template, of a renamed application or worker, or of the
/// same path.
fn sources<'a>(base: &'a Base, new: &'a Files) -> BTreeMap<&'a str, &'a str> {
    let by_id: BTreeMap<_, _> = base.iter().map(|(path, pristine)| (pristine.id.as_str(), path.as_str())).collect();
    let mut sources: BTreeMap<_, _> =
        new.iter().filter_map(|(path, file)| Some((path.as_str(), *by_id.get(file.id.as_str())?))).collect();
    let (mut old_owners, mut new_owners) = (BTreeMap::new(), BTreeMap::new());
    for (path, pristine) in
        base.iter().filter(|(_, pristine)| !pristine.ejected && new.values().all(|file| file.id != pristine.id))
    {
        old_owners.entry(template(&pristine.id)).or_insert_with(Vec::new).push(path.as_str());
    }
    for (path, file) in new.iter().filter(|(path, _)| !sources.contains_key(path.as_str())) {
        new_owners.entry(template(&file.id)).or_insert_with(Vec::new).push(path.as_str());
    }
    // If one of several has another name, it is renamed; with more than one, nobody knows.
    for (template, paths) in new_owners {
        if let ([path], Some([source])) = (&paths[..], old_owners.get(template).map(Vec::as_slice)) {
            sources.insert(path, source);
        }
    }
    let used: BTreeSet<_> = sources.values().copied().collect();
    for path in new.keys().filter(|path| !sources.contains_key(path.as_str())).collect::<Vec<_>>() {
        if let Some((same, _)) = base.get_key_value(path).filter(|(same, _)| !used.contains(same.as_str())) {
            sources.insert(path, same);
        }
    }
    sources
}

/// The template of an id, without the application or worker.
fn template(id: &str) -> &str {
    id.split(' ').next().unwrap_or_default()
}

struct Planner<'a> {
    base: &'a Base,
    read: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// What each path shall have.
    results: BTreeMap<String, Option<Vec<u8>>>,
    events: BTreeSet<(String, Event)>,
    conflicts: BTreeMap<String, Sides>,
}

/// A user's text, with its line ends.
struct Text {
    /// With `\n`.
    text: String,
    /// Whether every line ends with `\r\n`, as in some checkouts.
    is_crlf: bool,
}

impl Text {
    fn new(bytes: Vec<u8>) -> Option<Self> {
        let text = String::from_utf8(bytes).ok()?;
        let ends = text.matches('\n').count();
        let is_crlf = ends > 0 && text.matches("\r\n").count() == ends;
        Some(Self { text: if is_crlf { text.replace("\r\n", "\n") } else { text }, is_crlf })
    }

    fn write(&self, text: &str) -> Vec<u8> {
        if self.is_crlf { text.replace('\n', "\r\n").into_bytes() } else { text.as_bytes().to_vec() }
    }
}

impl Planner<'_> {
    fn report(&mut self, path: &str, event: Event) {
        self.events.insert((path.to_owned(), event));
    }

    fn is_unresolved(&self, path: &str) -> bool {
        (self.read)(path).and_then(Text::new).is_some_and(|ours| merge::has_conflict(&ours.text))
    }

    fn conflict(&mut self, path: &str, base: Option<&String>, ours: Vec<u8>, theirs: &str) {
        self.report(path, Event::Conflict);
        let base = base.map(|text| text.clone().into_bytes());
        self.conflicts.insert(path.to_owned(), Sides { base, ours, theirs: theirs.as_bytes().to_vec() });
    }

    /// A file that was generated before, at `source`.
    fn merge(&mut self, source: &str, path: &str, theirs: &str) {
        let pristine = &self.base[source].text;
        let Some(bytes) = (self.read)(source) else {
            self.report(path, Event::StaysDeleted);
            return;
        };
        if source != path {
            self.report(path, Event::Renamed(source.to_owned()));
        }
        let Some(ours) = Text::new(bytes.clone()) else {
            if theirs != pristine {
                self.report(path, Event::Binary);
            }
            self.results.insert(path.to_owned(), Some(bytes));
            return;
        };
        let text = match merge::merge(path, pristine, &ours.text, theirs) {
            Merged::Conflict(text) => {
                self.conflict(path, Some(pristine), bytes, theirs);
                text
            }
            Merged::Clean(text) => {
                if theirs != pristine && ours.text == *pristine {
                    self.report(path, Event::Updated);
                } else if theirs != pristine && text != ours.text {
                    self.report(path, Event::Merged);
                }
                text
            }
        };
        self.results.insert(path.to_owned(), Some(ours.write(&text)));
    }

    /// A file that was not generated before. The user may have one at its path, unless it is that of another generated file.
    fn add(&mut self, path: &str, theirs: &str) {
        let existing = if self.base.contains_key(path) { None } else { (self.read)(path) };
        let Some(bytes) = existing else {
            self.report(path, Event::Created);
            self.results.insert(path.to_owned(), Some(theirs.as_bytes().to_vec()));
            return;
        };
        self.add_to(path, bytes, theirs);
    }

    fn add_to(&mut self, path: &str, bytes: Vec<u8>, theirs: &str) {
        let result = match Text::new(bytes.clone()) {
            None => {
                self.report(path, Event::Binary);
                bytes
            }
            Some(ours) => match merge::merge_added(&ours.text, theirs) {
                Merged::Clean(text) => ours.write(&text),
                Merged::Conflict(text) => {
                    self.conflict(path, None, bytes, theirs);
                    ours.write(&text)
                }
            },
        };
        self.results.insert(path.to_owned(), Some(result));
    }

    /// A file that is not generated any more.
    fn orphan(&mut self, path: &str, pristine: &Pristine) {
        let Some(bytes) = (self.read)(path) else { return };
        let is_untouched = Text::new(bytes.clone()).is_some_and(|ours| ours.text == pristine.text);
        let taken = self.results.get(path).cloned().flatten();
        match (is_untouched, taken) {
            (true, None) => {
                self.report(path, Event::Removed);
                self.results.insert(path.to_owned(), None);
            }
            (true, Some(_)) => {}
            (false, None) => self.report(path, Event::Orphaned),
            // Another file has the path of one that the user has changed: both are in it.
            (false, Some(theirs)) => self.add_to(path, bytes, &String::from_utf8_lossy(&theirs)),
        }
    }

    fn finish(mut self, next: Base, sources: &BTreeMap<&str, &str>) -> Update {
        // A renamed file is not at its old path any more, unless another one has it now.
        for (path, source) in sources.iter().filter(|(path, source)| path != source) {
            if self.results.contains_key(*path) && !self.results.contains_key(*source) {
                self.results.insert((*source).to_owned(), None);
            }
        }
        // A user's file at the new path of a renamed one.
        for (path, _) in sources.iter().filter(|(path, source)| path != source && !self.base.contains_key(**path)) {
            if let (Some(bytes), Some(Some(theirs))) = ((self.read)(path), self.results.get(*path).cloned()) {
                self.add_to(path, bytes, &String::from_utf8_lossy(&theirs));
            }
        }
        let changes = self.results.into_iter().filter(|(path, content)| (self.read)(path) != *content).collect();
        Update { changes, base: next, events: self.events, conflicts: self.conflicts, is_incomplete: false }
    }
}

#[cfg(test)]
mod tests;
