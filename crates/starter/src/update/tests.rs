use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::*;
use crate::generate::File;

type Disk = BTreeMap<String, Vec<u8>>;

fn files(files: &[(&str, &str, &str)]) -> Files {
    let file = |(path, id, text): &(&str, &str, &str)| {
        ((*path).to_owned(), File { id: (*id).to_owned(), text: (*text).to_owned() })
    };
    files.iter().map(file).collect()
}

fn disk(files: &[(&str, &str)]) -> Disk {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}

fn base(new: &Files) -> Base {
    plan(&Base::new(), &|_| None, new).base
}

fn apply(disk: &mut Disk, update: &Update) {
    for (path, content) in &update.changes {
        match content {
            Some(content) => disk.insert(path.clone(), content.clone()),
            None => disk.remove(path),
        };
    }
}

/// Plans and applies, and checks that a second run changes nothing.
fn update(base: &Base, disk: &mut Disk, new: &Files) -> Update {
    let first = plan(base, &|path| disk.get(path).cloned(), new);
    apply(disk, &first);
    let second = plan(&first.base, &|path| disk.get(path).cloned(), new);
    assert_eq!((second.changes, &second.base), (BTreeMap::new(), &first.base), "a second run changes something");
    first
}

fn events(update: &Update) -> Vec<String> {
    update.events.iter().map(|(path, event)| format!("{path}: {event}")).collect()
}

const OLD: &[(&str, &str, &str)] = &[("a", "A", "1\n2\n3\n4\n5\n"), ("b", "B", "b\n")];

#[test]
fn a_deleted_file_stays_deleted() {
    let new = files(&[("a", "A", "1\n2\n3\n4\n6\n"), ("b", "B", "b\n")]);
    let mut disk = disk(&[("b", "b\n")]);
    let update = update(&base(&files(OLD)), &mut disk, &new);
    assert_eq!(events(&update), ["a: stays deleted"]);
    assert_eq!(disk.len(), 1);
}

#[test]
fn a_file_that_is_not_generated_any_more_is_removed_only_if_it_is_untouched() {
    let mut disk = disk(&[("a", "1\n2\n3\n4\n5\nmine\n"), ("b", "b\n")]);
    let update = update(&base(&files(OLD)), &mut disk, &files(&[]));
    assert_eq!(
        events(&update),
        ["a: not generated any more, but changed by you: it is yours now", "b: removed: it is not generated any more"]
    );
    assert_eq!(disk.keys().collect::<Vec<_>>(), ["a"]);
}

#[test]
fn changes_follow_a_renamed_file() {
    let new = files(&[("c", "A", "1\n2\n3\n4\n6\n"), ("a", "B", "b\n")]);
    let mut disk = disk(&[("a", "mine\n1\n2\n3\n4\n5\n"), ("b", "b\nmine\n")]);
    let update = update(&base(&files(OLD)), &mut disk, &new);
    assert_eq!(events(&update), ["a: renamed from b", "c: merged with your changes", "c: renamed from a"]);
    assert_eq!(disk, self::disk(&[("a", "b\nmine\n"), ("c", "mine\n1\n2\n3\n4\n6\n")]));
}

#[test]
fn changes_follow_a_renamed_application() {
    let old = files(&[("apps/a/x", "apps/x a", "1\n2\n3\n"), ("apps/b/x", "apps/x b", "1\n")]);
    let new = files(&[("apps/c/x", "apps/x c", "1\n2\n4\n"), ("apps/b/x", "apps/x b", "1\n")]);
    let mut disk = disk(&[("apps/a/x", "mine\n1\n2\n3\n"), ("apps/b/x", "1\n")]);
    let update = update(&base(&old), &mut disk, &new);
    assert_eq!(events(&update), ["apps/c/x: merged with your changes", "apps/c/x: renamed from apps/a/x"]);
    assert_eq!(disk, self::disk(&[("apps/b/x", "1\n"), ("apps/c/x", "mine\n1\n2\n4\n")]));
}

#[test]
fn files_at_new_paths_are_not_overwritten() {
    let new = files(&[("a", "A", "1\n2\n3\n4\n5\n"), ("c", "B", "b\n"), ("d", "D", "d\n"), ("e", "E", "e\n")]);
    let mut disk = disk(&[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n"), ("c", "mine\n"), ("d", "mine\n"), ("e", "e\n")]);
    let update = update(&base(&files(OLD)), &mut disk, &new);
    for path in ["c", "d"] {
        let text = String::from_utf8(disk[path].clone()).unwrap();
        assert!(text.contains("mine\n") && text.contains("<<<<<<< ours"), "{path}: {text}");
    }
    assert_eq!(disk["e"], b"e\n");
    assert_eq!(update.conflicts.keys().collect::<Vec<_>>(), ["c", "d"]);
    assert_eq!(update.conflicts["d"].base, None);
}

#[test]
fn a_checkout_with_other_line_ends_counts_as_untouched() {
    let new = files(&[("a", "A", "1\n2\n3\n4\n6\n"), ("b", "B", "b\n")]);
    let mut disk = disk(&[("a", "1\r\n2\r\n3\r\n4\r\n5\r\n"), ("b", "b\r\n")]);
    let update = update(&base(&files(OLD)), &mut disk, &new);
    assert_eq!(events(&update), ["a: updated"]);
    assert_eq!(disk["a"], b"1\r\n2\r\n3\r\n4\r\n6\r\n");
    let removed = plan(&update.base, &|path| disk.get(path).cloned(), &files(&[]));
    assert_eq!(removed.changes.len(), 2, "{:?}", removed.events);
}

#[test]
fn what_is_not_text_stays_and_is_reported() {
    let new = files(&[("a", "A", "new\n"), ("b", "B", "b\n")]);
    let mut disk = Disk::from([("a".to_owned(), vec![0xff, 0, 1]), ("b".to_owned(), vec![0xfe])]);
    let before = disk.clone();
    let update = update(&base(&files(OLD)), &mut disk, &new);
    assert_eq!(disk, before);
    assert_eq!(events(&update), ["a: conflict: your version is not UTF-8 text, and stays as it is"]);
}

#[test]
fn markers_are_reported_until_they_are_removed() {
    let new = files(&[("a", "A", "1\n2\ntheirs\n4\n5\n"), ("b", "B", "b\n")]);
    let mut disk = disk(&[("a", "1\n2\nmine\n4\n5\n"), ("b", "b\n")]);
    let first = update(&base(&files(OLD)), &mut disk, &new);
    assert_eq!(events(&first), ["a: conflict: edit it and remove the markers"]);
    let second = update(&first.base, &mut disk, &new);
    assert_eq!(events(&second), ["a: has unresolved conflict markers"]);
    disk.insert("a".to_owned(), b"1\n2\nmine\n4\n5\n".to_vec());
    assert_eq!(events(&update(&second.base, &mut disk, &new)), [] as [&str; 0]);
}

#[test]
fn an_ejected_file_is_not_touched_and_not_created_again() {
    let mut base = base(&files(OLD));
    base.get_mut("a").unwrap().ejected = true;
    let mut disk = disk(&[("a", "mine\n"), ("b", "b\n")]);
    let before = disk.clone();
    let update = update(&base, &mut disk, &files(&[("c", "A", "new\n"), ("b", "B", "b\n")]));
    assert_eq!(disk, before);
    assert!(update.base["a"].ejected && !update.base.contains_key("c"));
}

/// Whether a file is generated, the version of its path, and its lines with their versions.
type Template = (bool, u32, Vec<(u32, u32)>);

/// A configuration: which files there are, where they are, and which lines they have.
struct Configuration {
    templates: Vec<Template>,
    next_line: u32,
}

impl Configuration {
    fn new() -> Self {
        let lines = |template: u32| (0..12).map(|line| (template * 100 + line, 0)).collect();
        Self { templates: (0..5).map(|template| (true, 0, lines(template))).collect(), next_line: 1_000 }
    }

    fn change(&mut self, random: &mut StdRng) {
        for _ in 0..random.random_range(0..3) {
            let template = random.random_range(0..self.templates.len());
            let (is_generated, path, lines) = &mut self.templates[template];
            match random.random_range(0..12) {
                0 => *is_generated = !*is_generated,
                1 => *path += 1,
                2..5 => {
                    self.next_line += 1;
                    lines.insert(random.random_range(0..=lines.len()), (self.next_line, 0));
                }
                5..7 if lines.len() > 3 => {
                    lines.remove(random.random_range(0..lines.len()));
                }
                _ => {
                    let line = random.random_range(0..lines.len());
                    lines[line].1 += 1;
                }
            }
        }
    }

    /// The last templates are a TOML and a YAML file.
    fn files(&self) -> Files {
        let generated = self.templates.iter().enumerate().filter(|(_, (is_generated, ..))| *is_generated);
        let file = |(template, (_, path, lines)): (usize, &Template)| {
            let (extension, sign) = match template {
                3 => ("toml", " ="),
                4 => ("yml", ":"),
                _ => ("rs", " ="),
            };
            let text: Vec<_> =
                lines.iter().map(|(line, version)| format!("generated_{line}{sign} {version}\n")).collect();
            (format!("{template}-{path}.{extension}"), File { id: template.to_string(), text: text.concat() })
        };
        generated.map(file).collect()
    }
}

/// A user, who edits files, deletes them, adds others, and resolves conflicts.
struct User {
    next: u32,
}

impl User {
    fn line(&mut self, path: &str) -> String {
        self.next += 1;
        let sign = if path.ends_with("yml") { ":" } else { " =" };
        format!("user_{}{sign} 0", self.next)
    }

    fn edit(&mut self, random: &mut StdRng, disk: &mut Disk) {
        let paths: Vec<_> = disk.keys().cloned().collect();
        for _ in 0..random.random_range(0..4) {
            if paths.is_empty() {
                return;
            }
            let path = &paths[random.random_range(0..paths.len())];
            let Some(content) = disk.get(path) else { continue };
            let text = String::from_utf8(content.clone()).unwrap();
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            if merge::has_conflict(&text) {
                if random.random_bool(0.7) {
                    lines = resolved(&lines);
                }
            } else {
                match random.random_range(0..20) {
                    0 => {
                        disk.remove(path);
                        continue;
                    }
                    1..10 => {
                        let line = self.line(path);
                        let line = if random.random_bool(0.3) { format!("# {line}") } else { line };
                        lines.insert(random.random_range(0..=lines.len()), line);
                    }
                    10..15 if !lines.is_empty() => {
                        let at = random.random_range(0..lines.len());
                        lines[at] = self.line(path);
                    }
                    15..18 if !lines.is_empty() => {
                        lines.remove(random.random_range(0..lines.len()));
                    }
                    _ => {}
                }
            }
            let end = if random.random_bool(0.1) { "" } else { "\n" };
            disk.insert(path.clone(), (lines.join("\n") + end).into_bytes());
        }
    }
}

/// Of each conflict, the user's side.
fn resolved(lines: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    let mut depth = Vec::new();
    for line in lines {
        match line.as_str() {
            "<<<<<<< ours" => depth.push(true),
            "||||||| original" => {
                if let Some(is_ours) = depth.last_mut() {
                    *is_ours = false;
                }
            }
            ">>>>>>> theirs" => {
                depth.pop();
            }
            "=======" => {}
            _ if depth.iter().all(|is_ours| *is_ours) => kept.push(line.clone()),
            _ => {}
        }
    }
    kept
}

/// How often each line of the user is in the files.
fn user_lines(disk: &Disk) -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for text in disk.values() {
        for line in String::from_utf8(text.clone()).unwrap().lines().filter(|line| line.contains("user_")) {
            *lines.entry(line.to_owned()).or_default() += 1;
        }
    }
    lines
}

/// 10,000 cycles in 100 projects. In another number: `KENNEL_CYCLES`, each 100 in a project.
#[test]
fn no_line_is_lost_or_duplicated_by_random_edits_and_updates() {
    let cycles = std::env::var("KENNEL_CYCLES").map_or(10_000, |cycles| cycles.parse::<u64>().unwrap());
    let (mut merged, mut conflicts) = (0, 0);
    for seed in 0..cycles / 100 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut configuration = Configuration::new();
        let (mut user, mut disk) = (User { next: 0 }, Disk::new());
        let mut base = update(&Base::new(), &mut disk, &configuration.files()).base;
        for cycle in 0..100 {
            user.edit(&mut random, &mut disk);
            configuration.change(&mut random);
            let (before, new) = (disk.clone(), configuration.files());
            let update = update(&base, &mut disk, &new);
            let context = format!("seed {seed}, cycle {cycle}: {:?}", update.events);
            assert_eq!(user_lines(&disk), user_lines(&before), "{context}");
            check_files(&base, &before, &disk, &new, &context);
            merged += update.events.iter().filter(|(_, event)| *event == Event::Merged).count();
            conflicts += update.events.iter().filter(|(_, event)| *event == Event::Conflict).count();
            base = update.base;
        }
    }
    assert!(merged > 100 && conflicts > 100, "{merged} merged, {conflicts} conflicts");
}

/// Without a conflict, no line is there twice; an untouched file is as generated.
fn check_files(base: &Base, before: &Disk, disk: &Disk, new: &Files, context: &str) {
    for (path, content) in disk {
        let text = String::from_utf8(content.clone()).unwrap();
        if merge::has_conflict(&text) {
            continue;
        }
        let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
        let once: BTreeSet<_> = lines.iter().collect();
        assert_eq!(once.len(), lines.len(), "{context}: {path} has a line twice:\n{text}");
    }
    for (path, file) in new {
        let source = base.iter().find(|(_, pristine)| pristine.id == file.id);
        let is_untouched = match source {
            None => !before.contains_key(path),
            Some((source, pristine)) => {
                before.get(source).is_some_and(|content| *content == pristine.text.as_bytes())
                    && (source == path || !before.contains_key(path))
            }
        };
        if is_untouched {
            assert_eq!(disk.get(path).map(Vec::as_slice), Some(file.text.as_bytes()), "{context}: {path}");
        }
    }
}
