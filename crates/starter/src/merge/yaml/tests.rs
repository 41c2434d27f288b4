use std::fmt::Write as _;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use serde_json::{Map, Value as Json, json};

use super::*;

const COMPOSE: &str = "\
# The stand.
services:
  web:
    image: web:1
    ports: [\"80:80\"]
    environment:
      LOG: info
  # Of the store.
  store:
    image: store:1
    volumes:
      - data:/data
volumes:
  data: {}
";

fn after(base: &str, replacements: &[(&str, &str)]) -> String {
    replacements.iter().fold(base.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

type Replacements = &'static [(&'static str, &'static str)];

/// Case, changes of the user, changes of the generator, changes that are expected.
const CLEAN: &[(&str, Replacements, Replacements, Replacements)] = &[
    (
        "both added a key at one position",
        &[("      LOG: info\n", "      LOG: info\n      MINE: 1 # because\n")],
        &[("      LOG: info\n", "      LOG: info\n      THEIRS: 2\n")],
        &[("      LOG: info\n", "      LOG: info\n      THEIRS: 2\n      MINE: 1 # because\n")],
    ),
    (
        "a value changed next to the user's comment",
        &[("LOG: info\n", "LOG: info # mine\n")],
        &[("LOG: info\n", "LOG: debug\n")],
        &[("LOG: info\n", "LOG: debug # mine\n")],
    ),
    (
        "one changed a value, the other its neighbour",
        &[("    image: web:1\n", "    # mine\n    image: web:2 # why\n")],
        &[("    ports: [\"80:80\"]\n", "    ports: [\"81:80\"]\n")],
        &[(
            "    image: web:1\n    ports: [\"80:80\"]\n",
            "    # mine\n    image: web:2 # why\n    ports: [\"81:80\"]\n",
        )],
    ),
    (
        "both extended a list in brackets",
        &[("[\"80:80\"]", "[ \"80:80\", '90:90' ]")],
        &[("[\"80:80\"]", "[\"80:80\", \"443:443\"]")],
        &[("[\"80:80\"]", "[ \"80:80\", \"443:443\", '90:90' ]")],
    ),
    (
        "both extended a list of lines, with the same element and with others",
        &[("      - data:/data\n", "      - data:/data\n      - mine:/mine # mine\n      - same:/same\n")],
        &[("      - data:/data\n", "      - same:/same\n      - data:/data\n      - theirs:/theirs\n")],
        &[(
            "      - data:/data\n",
            "      - data:/data\n      - theirs:/theirs\n      - mine:/mine # mine\n      - same:/same\n",
        )],
    ),
    (
        "a section that the generator removed, next to a change of the user",
        &[("    volumes:\n      - data:/data\n", "    volumes:\n      - data:/data\n    mine: 1\n")],
        &[("volumes:\n  data: {}\n", "networks: {}\n")],
        &[
            ("    volumes:\n      - data:/data\n", "    volumes:\n      - data:/data\n    mine: 1\n"),
            ("\nvolumes:\n  data: {}\n", "\nnetworks: {}\n"),
        ],
    ),
    (
        "a section that the user removed stays removed",
        &[("  # Of the store.\n  store:\n    image: store:1\n    volumes:\n      - data:/data\n", "  mine: {}\n")],
        &[("      LOG: info\n", "      LOG: info\n      THEIRS: 2\n"), ("  data: {}\n", "  data: {}\n  more: {}\n")],
        &[
            ("      LOG: info\n", "      LOG: info\n      THEIRS: 2\n"),
            ("  data: {}\n", "  data: {}\n  more: {}\n"),
            ("  # Of the store.\n  store:\n    image: store:1\n    volumes:\n      - data:/data\n", "  mine: {}\n"),
        ],
    ),
    (
        "a key in front of the first one",
        &[("# The stand.\n", "# My stand.\n")],
        &[("services:\n", "name: shop\nservices:\n")],
        &[("# The stand.\n", "# My stand.\n"), ("services:\n", "name: shop\nservices:\n")],
    ),
];

#[test]
fn changes_of_different_keys_are_both_in_the_text() {
    for (case, ours, theirs, expected) in CLEAN {
        let (ours, theirs) = (after(COMPOSE, ours), after(COMPOSE, theirs));
        let merged = merge(COMPOSE, &ours, &theirs);
        assert_eq!(merged.as_deref(), Some(after(COMPOSE, expected).as_str()), "{case}");
    }
}

#[test]
fn what_is_unclear_is_left_to_the_merge_of_lines() {
    let cases: &[(&str, Replacements, Replacements)] = &[
        ("both changed a value", &[("web:1", "web:2")], &[("web:1", "web:3")]),
        (
            "removed by the user, changed by the generator",
            &[("      LOG: info\n", "      A: 1\n")],
            &[("info", "debug")],
        ),
        (
            "changed by the user, removed by the generator",
            &[("info", "debug")],
            &[("      LOG: info\n", "      A: 1\n")],
        ),
        ("a comment at what is removed", &[("  data: {}", "  data: {} # mine")], &[("volumes:\n  data: {}\n", "")]),
        (
            "another indentation",
            &[("      LOG: info\n", "        LOG: info\n")],
            &[("      LOG: info\n", "      LOG: info\n      A: 1\n")],
        ),
        (
            "a comment in brackets",
            &[("[\"80:80\"]", "[\"80:80\", # mine\n      '90:90']")],
            &[("[\"80:80\"]", "[\"443:443\"]")],
        ),
        ("an anchor", &[("web:1", "&image web:1")], &[("web:1", "web:2")]),
        ("a value that is a section now", &[("web:1", "web:1 # mine")], &[(" web:1", "\n      name: web:1")]),
        ("text of several lines", &[("web:1", "|\n      web:1 # mine")], &[("web:1", "web:2")]),
    ];
    for (case, ours, theirs) in cases {
        assert_eq!(merge(COMPOSE, &after(COMPOSE, ours), &after(COMPOSE, theirs)), None, "{case}");
    }
    assert_eq!(merge("- [1]\n- [2]\n", "- [1]\n- [3]\n", "- [1]\n- [2]\n- [4]\n"), None, "elements without a name");
    assert_eq!(merge("- a\n- b\n", "- a\n- b\n- c\n", "- b\n- a\n- d\n"), None, "another order");
    let panel = |unit: &str| format!("- {{id: 1, title: x, unit: {unit}}}\n");
    let twice = |one: &str, other: &str| panel(one) + &panel(other);
    assert_eq!(merge(&twice("a", "a"), &twice("b", "a"), &twice("a", "c")), None, "two elements with a title");
    assert_eq!(merge("a: 1\n---\nb: 1\n", "a: 2\n---\nb: 1\n", "a: 1\n---\nb: 2\n"), None, "two documents");
}

#[test]
fn an_element_that_both_sides_replaced_is_unclear() {
    let flags = |retention: &str, more: &str| {
        format!("command:\n  - --config.file=p.yml\n  - --storage.tsdb.retention.time={retention}\n{more}")
    };
    let base = flags("3d", "");
    assert_eq!(merge(&base, &flags("30d", ""), &flags("14d", "")), None);
    assert_eq!(merge(&base, &flags("30d", "  - --mine\n"), &flags("14d", "  - --theirs\n")), None);
    let merged = crate::merge::merge("compose.yaml", &base, &flags("30d", ""), &flags("14d", ""));
    assert!(matches!(merged, crate::merge::Merged::Conflict(_)), "{merged:?}");
    // One side replaced it, or both by the same.
    let theirs = flags("3d", "  - --theirs\n");
    let merged = merge(&base, &flags("30d", ""), &theirs).unwrap();
    assert!(merged.contains("=30d\n") && merged.contains("--theirs\n") && !merged.contains("=3d"), "{merged}");
    assert_eq!(merge(&base, &flags("14d", "  - --mine\n"), &flags("14d", "")), Some(flags("14d", "  - --mine\n")));
    let steps = |version: &str| format!("steps:\n  - uses: checkout@{version}\n  - run: make\n    name: build\n");
    assert_eq!(merge(&steps("1"), &steps("2"), &steps("3")), None);
    assert_eq!(merge(&steps("1"), &steps("2"), &steps("2")), Some(steps("2")));
}

#[test]
fn steps_with_names_are_merged_by_name() {
    let base = "steps:\n  - name: build\n    run: |\n      make\n\n      make test\n\n  - uses: checkout@1\n    with: {depth: 1}\n";
    let ours = base
        .replace("  - uses", "  # mine\n  - name: mine\n    run: echo # mine\n  - uses")
        .replace("depth: 1", "depth: 1, mine: 2");
    let theirs =
        base.replace("make test", "make check").replace("depth: 1", "depth: 0") + "  - name: publish\n    run: p\n";
    let expected =
        ours.replace("make test", "make check").replace("depth: 1", "depth: 0") + "  - name: publish\n    run: p\n";
    assert_eq!(merge(base, &ours, &theirs), Some(expected));
}

#[test]
fn elements_with_ids_that_are_no_numbers_are_merged_by_id() {
    let list = |one: u32, other: u32| format!("- {{id: a, v: {one}}}\n- {{id: b, v: {other}}}\n");
    assert_eq!(merge(&list(1, 1), &list(1, 2), &list(3, 1)), Some(list(3, 2)));
}

#[test]
fn json_is_merged_by_key_and_stays_as_it_is_written() {
    let base = "{\n  \"a\": 1,\n  \"panels\": [\n    {\"id\": 1, \"title\": \"x\", \"unit\": \"a\"},\n    {\"id\": 2, \"title\": \"y\"}\n  ]\n}\n";
    let ours = "{\n  \"a\": 1,\n  \"mine\": 1.50,\n  \"panels\": [\n    {\"id\": 1, \"title\": \"x\", \"unit\": \"a\"},\n    {\"id\": 2,   \"title\": \"y\", \"mine\": true},\n    {\"id\": 7, \"title\": \"z\\u00e9\"}\n  ]\n}\n";
    let theirs = "{\n  \"a\": 1,\n  \"theirs\": null,\n  \"panels\": [\n    {\"id\": 1, \"title\": \"x\", \"unit\": \"b\"},\n    {\"id\": 2, \"title\": \"w\"},\n    {\"id\": 3, \"title\": \"y\", \"new\": []}\n  ]\n}\n";
    let expected = "{\n  \"a\": 1,\n  \"theirs\": null,\n  \"mine\": 1.50,\n  \"panels\": [\n    {\"id\": 1, \"title\": \"x\", \"unit\": \"b\"},\n    {\"id\": 2, \"title\": \"w\"},\n    {\"id\": 3,   \"title\": \"y\",   \"new\": [], \"mine\": true},\n    {\"id\": 7, \"title\": \"z\\u00e9\"}\n  ]\n}\n";
    let merged = merge(base, ours, theirs).unwrap();
    assert_eq!(merged, expected);
    assert!(is_valid_json(&merged));
    assert_eq!(
        merge("{\"a\": []}", "{\"a\": [], \"b\": 1}", "{\"a\": [ 1, 2 ]}"),
        Some("{\"a\": [ 1, 2 ], \"b\": 1}".to_owned())
    );
    assert_eq!(merge("{\"a\": 1, \"b\": 2}", "{\"a\": 1, \"b\": 3}", "{\"b\": 2}"), Some("{\"b\": 3}".to_owned()));
}

/// A document, and how it is written: what differs is in both.
#[derive(Clone)]
struct Document(Map<String, Json>);

impl Document {
    fn new() -> Self {
        let section = |number: u32| (0..4).map(|key| (format!("key{number}{key}"), json!(0))).collect::<Map<_, _>>();
        let mut root: Map<_, _> = (0..3).map(|number| (format!("section{number}"), section(number).into())).collect();
        root.insert("list".to_owned(), json!(["e0", "e1", "e2"]));
        root.insert("steps".to_owned(), json!([{"name": "s0", "run": "a"}, {"name": "s1", "run": "b"}]));
        Self(root)
    }

    fn change(&mut self, random: &mut StdRng, who: &str, next: &mut u32) {
        for _ in 0..random.random_range(0..4) {
            *next += 1;
            let (id, section) = (format!("{who}{next}"), format!("section{}", random.random_range(0..3)));
            match random.random_range(0..6) {
                0 => drop(self.0.insert(id, json!({"a": *next}))),
                1 => self.list("list").insert(0, json!(id)),
                2 => self.list("steps").push(json!({"name": id, "run": "c"})),
                3 => self.list("list").retain(|element| element.as_str() != Some("e1")),
                _ => {
                    let Some(Json::Object(section)) = self.0.get_mut(&section) else { continue };
                    let keys: Vec<_> = section.keys().cloned().collect();
                    let key = keys[random.random_range(0..keys.len())].clone();
                    match random.random_range(0..3) {
                        0 => drop(section.insert(id, json!(*next))),
                        1 if keys.len() > 2 => drop(section.remove(&key)),
                        _ => drop(section.insert(key, json!(*next))),
                    }
                }
            }
        }
    }

    fn list(&mut self, key: &str) -> &mut Vec<Json> {
        self.0.get_mut(key).and_then(Json::as_array_mut).unwrap()
    }

    fn yaml(&self) -> String {
        let mut text = "# start\n".to_owned();
        for (key, value) in &self.0 {
            match value {
                Json::Object(fields) => {
                    writeln!(text, "{key}:").unwrap();
                    for (key, value) in fields {
                        writeln!(text, "  {key}: {value}").unwrap();
                    }
                }
                Json::Array(elements) if key == "steps" => {
                    text += "steps:\n";
                    for step in elements {
                        writeln!(text, "  - name: {}\n    run: {}", step["name"].as_str().unwrap(), step["run"])
                            .unwrap();
                    }
                }
                list => writeln!(text, "{key}: {list}").unwrap(),
            }
        }
        text
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&self.0).unwrap() + "\n"
    }
}

/// The merge of values, key by key: `None` if both sides changed one.
#[expect(clippy::option_option, reason = "a key can be removed, and a conflict has no result")]
fn expected(base: Option<&Json>, ours: Option<&Json>, theirs: Option<&Json>) -> Option<Option<Json>> {
    if ours == base || ours == theirs {
        return Some(theirs.cloned());
    }
    match (ours, theirs) {
        _ if theirs == base => Some(ours.cloned()),
        (Some(Json::Object(one)), Some(Json::Object(other))) => {
            let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
            let mut fields = Map::new();
            for key in keys {
                let value = expected(base.and_then(|base| base.get(key)), one.get(key), other.get(key))?;
                value.map(|value| fields.insert(key.clone(), value));
            }
            Some(Some(fields.into()))
        }
        (Some(Json::Array(one)), Some(Json::Array(other))) => {
            // Elements are the values of their names.
            let names = |list: &[Json]| -> Map<String, Json> {
                let name = |element: &Json| element["name"].as_str().or(element.as_str()).unwrap().to_owned();
                list.iter().map(|element| (name(element), element.clone())).collect()
            };
            let (one, other) = (names(one), names(other));
            let base = base.and_then(Json::as_array).map(|list| names(list));
            // Both put another element in the place of one.
            let known = base.clone().unwrap_or_default();
            let has_own = |list: &Map<String, Json>, others: &Map<String, Json>| {
                list.keys().any(|name| !known.contains_key(name) && !others.contains_key(name))
            };
            let is_removed = known.keys().any(|name| !one.contains_key(name) && !other.contains_key(name));
            if is_removed && has_own(&one, &other) && has_own(&other, &one) {
                return None;
            }
            let base = base.map(Json::from);
            let merged = expected(base.as_ref(), Some(&one.into()), Some(&other.into()))??;
            Some(Some(merged.as_object()?.values().cloned().collect::<Vec<_>>().into()))
        }
        _ => None,
    }
}

/// A comment of the user at some lines.
fn with_comments(random: &mut StdRng, text: &str) -> String {
    let mut number = 0;
    let line = |line: &str| {
        number += 1;
        let indent = &line[..line.len() - line.trim_start().len()];
        match random.random_range(0..12) {
            0 => format!("{indent}# user-{number};\n{line}\n"),
            1 => format!("{line} # user-{number};\n"),
            2 => format!("\n{line}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect::<Vec<_>>().concat()
}

#[test]
fn random_changes_are_merged_as_values_and_no_comment_is_lost() {
    let mut random = StdRng::seed_from_u64(1);
    let (mut merged, mut next) = (0, 0);
    for round in 0..1_500 {
        let base = Document::new();
        let (mut ours, mut theirs) = (base.clone(), base.clone());
        ours.change(&mut random, "mine", &mut next);
        theirs.change(&mut random, "theirs", &mut next);
        let json = |document: &Document| Json::from(document.0.clone());
        let expected = expected(Some(&json(&base)), Some(&json(&ours)), Some(&json(&theirs))).flatten();
        let expected = expected.map(|value| sorted(value).to_string());
        let value = |text: &str| sorted(yaml::parse(text).unwrap().json()).to_string();
        let commented = with_comments(&mut random, &ours.yaml());
        let text = merge(&base.yaml(), &commented, &theirs.yaml());
        let context = || format!("round {round}:\n{commented}\n---\n{}\n---\n{text:?}", theirs.yaml());
        if let Some(text) = &text {
            merged += 1;
            assert_eq!(Some(value(text)), expected, "{}", context());
            let comments = commented.split("# user-").skip(1).map(|rest| rest.split(';').next().unwrap());
            for comment in comments {
                assert_eq!(text.matches(&format!("# user-{comment};")).count(), 1, "{}", context());
            }
        }
        let in_json = merge(&base.json(), &ours.json(), &theirs.json());
        assert_eq!(
            in_json.map(|text| sorted(serde_json::from_str(&text).unwrap()).to_string()),
            expected,
            "{}",
            context()
        );
    }
    assert!(merged > 750, "{merged}");
}
