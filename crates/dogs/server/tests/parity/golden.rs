//! The expected results in files, for all pairs.

use std::path::Path;

use kennel_broker::Backend;
use kennel_storage::Storage;

use crate::pair::Pair;

/// The pair whose results are written to the files; it needs no server.
const REFERENCE: Pair = Pair { store: Storage::Sqlite, broker: Backend::Memory };

fn path(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity").join(name)
}

/// The content of the file; empty if it does not exist.
pub fn read(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_default()
}

/// Whether `pair` writes the files, with `UPDATE=1`.
pub fn is_written_by(pair: Pair) -> bool {
    pair == REFERENCE && std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

/// Asserts that `found` equals the content of the file, or writes it.
pub fn check(pair: Pair, name: &str, found: &str) {
    if is_written_by(pair) {
        std::fs::write(path(name), found).unwrap();
        return;
    }
    let expected = read(name);
    assert!(expected == found, "{pair} differs from {name} (- the file, + {pair}):\n{}", differences(&expected, found));
}

/// The lines that are not in the longest common subsequence, with a line of context.
fn differences(expected: &str, found: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (expected.lines().collect(), found.lines().collect());
    let common = common(&old, &new);
    let (mut text, mut at, mut to) = (String::new(), 0, 0);
    for (next_old, next_new) in common.into_iter().chain([(old.len(), new.len())]) {
        if (at, to) != (next_old, next_new) {
            text.extend(at.checked_sub(1).map(|before| format!("@ {}\n  {}\n", at, old[before])));
        }
        text.extend(old[at..next_old].iter().map(|line| format!("- {line}\n")));
        text.extend(new[to..next_new].iter().map(|line| format!("+ {line}\n")));
        (at, to) = (next_old + 1, next_new + 1);
    }
    text
}

/// The positions of the longest common subsequence in both.
fn common(old: &[&str], new: &[&str]) -> Vec<(usize, usize)> {
    let mut lengths = vec![vec![0_usize; new.len() + 1]; old.len() + 1];
    for (i, line) in old.iter().enumerate().rev() {
        for (j, other) in new.iter().enumerate().rev() {
            let longer = lengths[i + 1][j].max(lengths[i][j + 1]);
            lengths[i][j] = if line == other { lengths[i + 1][j + 1] + 1 } else { longer };
        }
    }
    let (mut pairs, mut i, mut j) = (Vec::new(), 0, 0);
    while i < old.len() && j < new.len() {
        if old[i] == new[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

#[test]
fn differences_are_listed_by_line() {
    assert_eq!(differences("a\nb\nc\n", "a\nx\nc\n"), "@ 1\n  a\n- b\n+ x\n");
    assert_eq!(differences("", "a\n"), "+ a\n");
    assert_eq!(differences("a\nb\n", "a\nb\n"), "");
}
