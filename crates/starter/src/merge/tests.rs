use super::*;

const TEXT: &str = "one\ntwo\nthree\nfour\nfive\nsix\nseven\n";

fn text(replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(TEXT.to_owned(), |text, (from, to)| {
        assert!(text.contains(from));
        text.replace(from, to)
    })
}

fn clean(path: &str, base: &str, ours: &str, theirs: &str) -> String {
    match merge(path, base, ours, theirs) {
        Merged::Clean(text) => text,
        Merged::Conflict(text) => panic!("conflict:\n{text}"),
    }
}

fn conflict(path: &str, base: &str, ours: &str, theirs: &str) -> String {
    match merge(path, base, ours, theirs) {
        Merged::Conflict(text) => text,
        Merged::Clean(text) => panic!("no conflict:\n{text}"),
    }
}

#[test]
fn changes_of_different_lines_are_both_in_the_text() {
    let (ours, theirs) = (text(&[("one\n", "one\nmine\n")]), text(&[("six\n", "6\n"), ("seven\n", "")]));
    assert_eq!(clean("a.rs", TEXT, &ours, &theirs), "one\nmine\ntwo\nthree\nfour\nfive\n6\n");
    assert_eq!(clean("a.rs", TEXT, TEXT, &theirs), theirs);
    assert_eq!(clean("a.rs", TEXT, &ours, TEXT), ours);
    assert_eq!(clean("a.rs", TEXT, &theirs, &theirs), theirs, "the same change is applied once");
}

/// What the user sees.
#[test]
fn changes_of_the_same_lines_are_a_conflict() {
    let cases = [
        (
            "both changed a line",
            text(&[("two", "mine")]),
            text(&[("two", "theirs")]),
            "<<<<<<< ours\nmine\n||||||| original\ntwo\n=======\ntheirs\n>>>>>>> theirs\n",
        ),
        (
            "changed by the user, removed by the generator",
            text(&[("two", "mine")]),
            text(&[("two\n", "")]),
            "<<<<<<< ours\nmine\n||||||| original\ntwo\n=======\n>>>>>>> theirs\n",
        ),
        (
            "removed by the user, changed by the generator",
            text(&[("two\n", "")]),
            text(&[("two", "theirs")]),
            "<<<<<<< ours\n||||||| original\ntwo\n=======\ntheirs\n>>>>>>> theirs\n",
        ),
        (
            "both added a line at one position",
            text(&[("two\n", "two\nmine\n")]),
            text(&[("two\n", "two\ntheirs\n")]),
            "<<<<<<< ours\nmine\n||||||| original\n=======\ntheirs\n>>>>>>> theirs\n",
        ),
    ];
    for (case, ours, theirs, expected) in cases {
        let text = conflict("a.rs", TEXT, &ours, &theirs);
        assert!(text.contains(expected), "{case}:\n{text}");
        assert!(has_conflict(&text), "{case}");
    }
}

#[test]
fn a_last_line_without_end_is_not_glued_to_anything() {
    let text = conflict("a.rs", "one", "mine", "theirs");
    assert_eq!(text, "<<<<<<< ours\nmine\n||||||| original\none\n=======\ntheirs\n>>>>>>> theirs\n");
    assert_eq!(clean("a.rs", "one\ntwo\nthree\nfour", "1\ntwo\nthree\nfour", "one\ntwo\nthree\n4"), "1\ntwo\nthree\n4");
    assert_eq!(
        clean("a.rs", "one\ntwo\nthree\nfour\n", "one\ntwo\nthree\nfour", "1\ntwo\nthree\nfour\n"),
        "1\ntwo\nthree\nfour"
    );
}

#[test]
fn files_that_both_sides_added_are_a_conflict_with_both() {
    assert_eq!(merge_added("a\n", "a\n"), Merged::Clean("a\n".to_owned()));
    let expected = "<<<<<<< ours\na\n||||||| original\n=======\nb\n>>>>>>> theirs\n";
    assert_eq!(merge_added("a\n", "b\n"), Merged::Conflict(expected.to_owned()));
}

const MANIFEST: &str = "\
[package]
name = \"shop\"

[dependencies]
a = \"1\"
b = \"1\"

[features]
default = [\"sqlite\"]
";

fn manifest(replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(MANIFEST.to_owned(), |text, (from, to)| {
        assert!(text.contains(from));
        text.replace(from, to)
    })
}

#[test]
fn toml_is_merged_by_key() {
    let cases = [
        (
            "both added a dependency at one position",
            manifest(&[("b = \"1\"\n", "b = \"1\"\nmine = \"1\" # because\n")]),
            manifest(&[("b = \"1\"\n", "b = \"1\"\ntheirs = \"1\"\n")]),
            manifest(&[("b = \"1\"\n", "b = \"1\"\nmine = \"1\" # because\ntheirs = \"1\"\n")]),
        ),
        (
            "both added the same dependency, at different positions",
            manifest(&[("a = \"1\"\n", "c = \"1\"\na = \"1\"\n")]),
            manifest(&[("b = \"1\"\n", "b = \"1\"\nc = \"1\"\n")]),
            manifest(&[("a = \"1\"\n", "c = \"1\"\na = \"1\"\n")]),
        ),
        (
            "one changed a version, the other its neighbour, with a comment",
            manifest(&[("a = \"1\"\n", "# mine\na = \"2\" # why\n")]),
            manifest(&[("b = \"1\"\n", "b = \"3\"\n")]),
            manifest(&[("a = \"1\"\n", "# mine\na = \"2\" # why\n"), ("b = \"1\"\n", "b = \"3\"\n")]),
        ),
        (
            "a value changed next to the user's comment",
            manifest(&[("a = \"1\"\n", "a = \"1\" # mine\n")]),
            manifest(&[("a = \"1\"\n", "a = \"2\"\n")]),
            manifest(&[("a = \"1\"\n", "a = \"2\" # mine\n")]),
        ),
        (
            "both extended a list",
            manifest(&[("[\"sqlite\"]", "[\"sqlite\", \"mine\"]")]),
            manifest(&[("[\"sqlite\"]", "[\"postgres\"]")]),
            manifest(&[("[\"sqlite\"]", "[\"mine\", \"postgres\"]")]),
        ),
        (
            "a key that one moved and the other removed, whose lines merge with the key",
            manifest(&[("a = \"1\"\n", ""), ("b = \"1\"\n", "b = \"1\"\na = \"1\"\n")]),
            manifest(&[("a = \"1\"\n", "")]),
            manifest(&[("a = \"1\"\n", "")]),
        ),
    ];
    for (case, ours, theirs, expected) in cases {
        assert_eq!(clean("Cargo.toml", MANIFEST, &ours, &theirs), expected, "{case}");
    }
}

#[test]
fn a_key_that_both_changed_is_a_conflict_of_lines() {
    let (ours, theirs) = (manifest(&[("a = \"1\"", "a = \"2\"")]), manifest(&[("a = \"1\"", "a = \"3\"")]));
    let text = conflict("Cargo.toml", MANIFEST, &ours, &theirs);
    assert!(
        text.contains("<<<<<<< ours\na = \"2\"\n||||||| original\na = \"1\"\n=======\na = \"3\"\n>>>>>>> theirs\n"),
        "{text}"
    );

    let commented = manifest(&[("a = \"1\"\n", "# mine\na = \"1\"\n")]);
    let removed = manifest(&[("a = \"1\"\n", "")]);
    assert!(
        conflict("Cargo.toml", MANIFEST, &commented, &removed).contains("# mine\n"),
        "a comment is not removed with its key"
    );
}
