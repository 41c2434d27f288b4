//! Conflicts in the index of Git, so that `git status`, `git mergetool` and editors show them.

use std::collections::BTreeMap;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::update::Sides;

/// Marks files as unmerged, with their three versions. Does nothing outside of a repository, or without Git.
pub(crate) fn mark_unmerged(root: &Path, conflicts: &BTreeMap<String, Sides>) -> io::Result<()> {
    let Ok(prefix) = run(root, &["rev-parse", "--show-prefix"], b"") else { return Ok(()) };
    let mut index = Vec::new();
    for (path, sides) in conflicts {
        let path = format!("{}{path}", prefix.trim_end());
        index.push(format!("0 {:040}\t{path}\n", 0));
        let versions = [(1, sides.base.as_ref()), (2, Some(&sides.ours)), (3, Some(&sides.theirs))];
        for (stage, content) in versions.into_iter().filter_map(|(stage, content)| Some((stage, content?))) {
            let hash = run(root, &["hash-object", "-w", "--stdin"], content)?;
            index.push(format!("100644 {} {stage}\t{path}\n", hash.trim_end()));
        }
    }
    run(root, &["update-index", "--index-info"], index.concat().as_bytes()).map(|_| ())
}

fn run(root: &Path, arguments: &[&str], input: &[u8]) -> io::Result<String> {
    let mut child = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input)?;
    }
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("git {} failed", arguments.join(" "))));
    }
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
