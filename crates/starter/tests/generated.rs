//! Checks the committed files that `kennel` generates. `UPDATE=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kennel_starter::{check, describe, generate};
use regex::Regex;
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn update() -> bool {
    std::env::var("UPDATE").is_ok_and(|value| value == "1")
}

fn assert_current(path: &Path, expected: &str) {
    if update() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, expected).unwrap();
    }
    let current = fs::read_to_string(path).unwrap_or_default();
    assert!(current == expected, "{} is stale; `make generate` writes it", path.display());
}

#[test]
fn the_schema_and_the_reference_are_current() {
    assert_current(&root().join(describe::SCHEMA_FILE), &describe::json_schema());
    assert_current(&root().join("docs/starter/reference.md"), &describe::reference());
}

fn files_in(folder: &Path) -> Vec<String> {
    fn collect(root: &Path, folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(root, &entry, found);
            } else {
                found.push(entry.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(folder, folder, &mut found);
    found
}

/// The workspace compiles, lints and tests these files, so this is what shows that generated projects are right.
#[test]
fn the_example_is_what_is_generated() {
    let folder = root().join("examples/shop");
    let text = fs::read_to_string(folder.join("kennel.yaml")).unwrap();
    let files = generate::files(&check::read(&text).unwrap()).unwrap();
    for (path, file) in &files {
        assert_current(&folder.join(path), &file.text);
    }
    for path in files_in(&folder).iter().filter(|path| *path != "kennel.yaml" && !files.contains_key(*path)) {
        // Of a server, a build or `kennel` that was started in the folder.
        if ["data/", "target/", ".kennel/"].iter().any(|folder| path.starts_with(folder)) {
            continue;
        }
        if update() {
            fs::remove_file(folder.join(path)).unwrap();
        } else {
            panic!("examples/shop/{path} is not generated");
        }
    }
}

/// An application is at most 130 lines, its tests not counted.
#[test]
fn applications_are_small() {
    let folder = root().join("examples/shop/apps");
    let mut lines = BTreeMap::<String, usize>::new();
    for path in files_in(&folder).iter().filter(|path| path.contains("/src/")) {
        let text = fs::read_to_string(folder.join(path)).unwrap();
        *lines.entry(path.split('/').next().unwrap().to_owned()).or_default() += text.lines().count();
    }
    assert!(lines.len() == 4 && lines.values().all(|lines| *lines <= 130), "{lines:?}");
}

/// Validates by the keywords that the schema uses; another one is an error.
fn accepts(schema: &Value, value: &Value) -> bool {
    let number = |key: &str| schema[key].as_u64().unwrap();
    schema.as_object().unwrap().iter().all(|(keyword, argument)| match keyword.as_str() {
        "$schema" | "$id" | "title" | "description" => true,
        "type" => match argument.as_str().unwrap() {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "integer" => value.is_u64(),
            other => panic!("{other}"),
        },
        "const" => value == argument,
        "oneOf" => argument.as_array().unwrap().iter().filter(|option| accepts(option, value)).count() == 1,
        "pattern" => value.as_str().is_some_and(|text| Regex::new(argument.as_str().unwrap()).unwrap().is_match(text)),
        "minLength" => value.as_str().is_some_and(|text| text.chars().count() as u64 >= number("minLength")),
        "maxLength" => value.as_str().is_some_and(|text| text.chars().count() as u64 <= number("maxLength")),
        "minimum" => value.as_u64().is_some_and(|value| value >= number("minimum")),
        "maximum" => value.as_u64().is_some_and(|value| value <= number("maximum")),
        "items" => value.as_array().is_some_and(|elements| elements.iter().all(|element| accepts(argument, element))),
        "minItems" => value.as_array().is_some_and(|elements| elements.len() as u64 >= number("minItems")),
        "required" => argument.as_array().unwrap().iter().all(|key| value.get(key.as_str().unwrap()).is_some()),
        "additionalProperties" => {
            let known = schema["properties"].as_object().unwrap();
            value.as_object().is_some_and(|fields| fields.keys().all(|key| known.contains_key(key)))
        }
        "properties" => argument
            .as_object()
            .unwrap()
            .iter()
            .all(|(key, schema)| value.get(key).is_none_or(|field| accepts(schema, field))),
        other => panic!("the test does not know the keyword {other}"),
    })
}

/// What editors accept is what `kennel check` accepts, where a schema can say it.
#[test]
fn the_schema_accepts_what_the_check_accepts() {
    let schema = serde_json::from_str(&describe::json_schema()).unwrap();
    let text = fs::read_to_string(root().join("examples/shop/kennel.yaml")).unwrap();
    let is_valid = |text: &str| accepts(&schema, &yaml_serde::from_str(text).unwrap());
    assert!(is_valid(&text));
    for (from, to) in [
        ("name: shop\n", "name: Shop\n"),
        ("name: shop\n", "nam: shop\n"),
        ("  workspace: true", "  workspace: yes"),
        ("generator_type: daemon", "generator_type: telegram"),
        ("interval: 30s", "interval: 30"),
        ("storage: [sqlite, ", "storage: [postgers, "),
        ("- name: web\n", "- name: web\n    port: 0\n"),
        ("entity:\n  name: item\n", ""),
    ] {
        let invalid = text.replacen(from, to, 1);
        assert_ne!(text, invalid, "{from}");
        assert!(check::read(&invalid).is_err(), "{to}");
        assert!(!is_valid(&invalid), "the schema accepts {to}");
    }
}

#[test]
fn keys_are_explained() {
    let text = describe::explain("worker.generator_type").unwrap();
    assert!(text.starts_with("worker[].generator_type: one of schedule, daemon; required\n"), "{text}");
    assert!(text.contains("\n  daemon       A loop that runs until the process stops."), "{text}");
    assert!(describe::explain("platform").unwrap().contains("platform.workspace"));
    assert_eq!(describe::explain("rest.prot").unwrap_err(), "there is no key `rest.prot`; did you mean `rest[].port`?");
}
