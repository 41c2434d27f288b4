use std::collections::BTreeMap;

use super::*;

type Tree = BTreeMap<String, Vec<u8>>;

fn tree(root: &Path) -> Tree {
    fn collect(root: &Path, folder: &Path, found: &mut Tree) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(root, &entry, found);
            } else {
                let name = entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(entry).unwrap());
            }
        }
    }
    let mut found = Tree::new();
    collect(root, root, &mut found);
    found
}

fn project() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, content) in [("a", "old a"), ("src/b", "old b"), ("src/deep/c", "old c"), ("mine", "mine")] {
        fs::create_dir_all(root.path().join(path).parent().unwrap()).unwrap();
        fs::write(root.path().join(path), content).unwrap();
    }
    root
}

fn change(path: &str, content: Option<&str>, before: Option<&str>) -> Change {
    let before = before.map(|before| Hash::of(before.as_bytes()));
    Change { path: path.to_owned(), content: content.map(Into::into), before }
}

fn changes() -> Vec<Change> {
    vec![
        change("a", Some("new a"), Some("old a")),
        change("src/b", Some(""), Some("old b")),
        change("src/deep/c", None, Some("old c")),
        change("new/folder/d", Some("new d"), None),
        change(".kennel/lock.json", Some("{}"), None),
    ]
}

fn new_tree() -> Tree {
    let root = project();
    assert_eq!(apply(root.path(), &changes()).unwrap(), Vec::<String>::new());
    let tree = tree(root.path());
    assert_eq!(tree.keys().collect::<Vec<_>>(), [".kennel/lock.json", "a", "mine", "new/folder/d", "src/b"]);
    assert!(!root.path().join("src/deep").exists(), "a folder that became empty is removed");
    tree
}

/// Stops at the step with this number; `None` if there are not so many.
fn interrupted(root: &Path, at: usize) -> Option<String> {
    let mut number = 0;
    let mut stopped = None;
    let result = apply_until(root, &changes(), &mut |step| {
        number += 1;
        if number <= at {
            return Ok(());
        }
        stopped = Some(step.to_owned());
        Err(io::Error::other("killed"))
    });
    assert_eq!(result.is_err(), stopped.is_some());
    stopped
}

/// The number of the step that makes the project the new one.
fn commit() -> usize {
    (0..100).find(|at| interrupted(project().path(), *at).is_some_and(|step| step == "commit")).unwrap()
}

#[test]
fn after_a_kill_at_any_step_the_project_is_the_old_or_the_new_one() {
    let (old, new) = (tree(project().path()), new_tree());
    let mut seen = Vec::new();
    for at in 0.. {
        let root = project();
        let Some(step) = interrupted(root.path(), at) else { break };
        assert_eq!(recover(root.path()).unwrap(), Vec::<String>::new(), "{step}");
        let tree = tree(root.path());
        assert!(tree == old || tree == new, "killed before `{step}`: {tree:?}");
        seen.push(tree == new);
        assert_eq!(recover(root.path()).unwrap(), Vec::<String>::new());
    }
    assert!(seen.is_sorted() && seen.contains(&true) && seen.contains(&false), "{seen:?}");
    assert!(seen.len() > 12, "{seen:?}");
}

#[test]
fn a_recovery_that_is_killed_is_completed_by_the_next_one() {
    let new = new_tree();
    let commit = commit();
    for at in 0.. {
        let root = project();
        interrupted(root.path(), commit + 1);
        let journal = fs::read(root.path().join(JOURNAL)).unwrap();
        let steps: Vec<Step> = serde_json::from_slice(&journal).unwrap();
        let mut number = 0;
        let result = complete(root.path(), &steps, &mut |_| {
            number += 1;
            if number <= at { Ok(()) } else { Err(io::Error::other("killed")) }
        });
        recover(root.path()).unwrap();
        assert_eq!(tree(root.path()), new);
        if result.is_ok() {
            break;
        }
    }
}

#[test]
fn what_somebody_changes_after_an_interruption_stays() {
    let commit = commit();
    let root = project();
    interrupted(root.path(), commit + 1);
    fs::write(root.path().join("src/b"), "mine").unwrap();
    fs::write(root.path().join("src/deep/c"), "mine too").unwrap();
    assert_eq!(recover(root.path()).unwrap(), ["src/b", "src/deep/c"]);
    let tree = tree(root.path());
    assert_eq!(
        (&tree["src/b"][..], &tree["src/deep/c"][..], &tree["a"][..]),
        (&b"mine"[..], &b"mine too"[..], &b"new a"[..])
    );
    assert!(!tree.contains_key(JOURNAL));
}

#[test]
fn paths_outside_of_the_project_and_links_are_refused() {
    let root = project();
    for path in ["../a", "/a", "src/../../a", "./a"] {
        assert!(apply(root.path(), &[change(path, Some(""), None)]).is_err(), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn nothing_is_written_or_removed_through_a_link() {
    use std::os::unix::fs::symlink;

    let (root, outside) = (project(), project());
    symlink("mine", root.path().join("link")).unwrap();
    symlink(outside.path(), root.path().join("folder")).unwrap();
    let before = tree(outside.path());
    for (path, content, before) in [
        ("link", Some(""), Some("mine")),
        ("folder/a", Some("new"), Some("old a")),
        ("folder/src/b", None, Some("old b")),
        ("folder/src/new", Some("new"), None),
    ] {
        let error = apply(root.path(), &[change(path, content, before)]).unwrap_err().to_string();
        let link = path.split('/').next().unwrap();
        assert!(error.starts_with(&format!("{link} is a symbolic link")), "{path}: {error}");
    }
    fs::create_dir_all(outside.path().join("staged")).unwrap();
    symlink(outside.path(), root.path().join(".kennel")).unwrap();
    assert!(recover(root.path()).unwrap_err().to_string().contains("symbolic link"));
    assert!(apply(root.path(), &[change("new", Some(""), None)]).unwrap_err().to_string().contains("symbolic link"));
    assert!(outside.path().join("staged").exists());
    assert_eq!(tree(outside.path()), before);
}

#[test]
fn what_somebody_saves_after_the_plan_stays_and_nothing_else_changes() {
    for path in ["a", "src/deep/c", "new/folder/d"] {
        let root = project();
        fs::create_dir_all(root.path().join("new/folder")).unwrap();
        fs::write(root.path().join(path), "saved").unwrap();
        let before = tree(root.path());
        let error = apply(root.path(), &changes()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{path} was changed during the update")), "{error}");
        assert_eq!(tree(root.path()), before);
    }
}

#[test]
fn what_somebody_saves_during_the_update_is_returned() {
    let root = project();
    let skipped = apply_until(root.path(), &changes(), &mut |step| match step {
        "commit" => fs::write(root.path().join("src/b"), "saved"),
        _ => Ok(()),
    });
    assert_eq!(skipped.unwrap(), ["src/b"]);
    assert_eq!(fs::read_to_string(root.path().join("src/b")).unwrap(), "saved");
    assert_eq!(fs::read_to_string(root.path().join("a")).unwrap(), "new a");
}
