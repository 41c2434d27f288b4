//! Checks the committed files that `kennel` generates. `UPDATE=1` rewrites them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use kennel_starter::{check, describe, generate, project};
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
    for file in describe::FILES {
        assert_current(&root().join(describe::schema_file(file.0)), &describe::json_schema(file));
    }
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
    let input = project::read_input(&folder.join("kennel.yaml")).unwrap_or_else(|error| panic!("{error:?}"));
    let files = generate::files(&input.config, &input.contracts).unwrap();
    for (path, file) in &files {
        assert_current(&folder.join(path), &file.text);
    }
    // Those of the user.
    let is_own = |path: &str| {
        ["kennel.yaml", "api/", "cli/", "events/", "queues/", "proto/billing/", "proto/catalog/"]
            .iter()
            .any(|own| path.starts_with(own))
    };
    for path in files_in(&folder).iter().filter(|path| !is_own(path) && !files.contains_key(*path)) {
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
    assert!(lines.len() == 8 && lines.values().all(|lines| *lines <= 130), "{lines:?}");
}

/// Validates by the keywords that the schema uses; another one is an error.
fn accepts(schema: &Value, value: &Value) -> bool {
    let number = |key: &str| schema[key].as_u64().unwrap();
    schema.as_object().unwrap().iter().all(|(keyword, argument)| match keyword.as_str() {
        "$schema" | "$id" | "title" | "description" => true,
        "type" => {
            let is_one = |name: &Value| match name.as_str().unwrap() {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                other => panic!("{other}"),
            };
            argument.as_array().map_or_else(|| is_one(argument), |names| names.iter().any(is_one))
        }
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
    let schemas: Vec<Value> =
        describe::FILES.iter().map(|file| serde_json::from_str(&describe::json_schema(file)).unwrap()).collect();
    for (index, path) in ["kennel.yaml", "cli/admin.yaml", "queues/mailer.yaml"].into_iter().enumerate() {
        let text = fs::read_to_string(root().join("examples/shop").join(path)).unwrap();
        assert!(accepts(&schemas[index], &yaml_serde::from_str(&text).unwrap()), "{path}");
    }
    let schema = &schemas[0];
    let text = fs::read_to_string(root().join("examples/shop/kennel.yaml")).unwrap();
    let is_valid = |text: &str| accepts(schema, &yaml_serde::from_str(text).unwrap());
    for (from, to) in [
        ("name: shop\n", "name: Shop\n"),
        ("name: shop\n", "nam: shop\n"),
        ("  workspace: true", "  workspace: yes"),
        ("generator_type: daemon", "generator_type: demon"),
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
    assert!(
        text.starts_with("worker[].generator_type: one of schedule, daemon, queue, telegram; required\n"),
        "{text}"
    );
    assert!(text.contains("\n  daemon       A loop that runs until the process stops."), "{text}");
    assert!(describe::explain("platform").unwrap().contains("platform.workspace"));
    assert_eq!(describe::explain("rest.prot").unwrap_err(), "there is no key `rest.prot`; did you mean `rest[].port`?");
}

/// A threshold of `systemd-analyze security`, in tenths: what is left is the network.
const EXPOSURE: &str = "15";

/// systemd accepts every line of the units, and rates them as well restricted.
#[test]
fn units_of_systemd_are_valid_and_restricted() {
    let folder = root().join("examples/shop/packaging");
    let units: Vec<_> = files_in(&folder).into_iter().filter(|path| path.ends_with(".service")).collect();
    assert!(!units.is_empty());
    for unit in units {
        let temporary = tempfile::tempdir().unwrap();
        let copy = temporary.path().join(Path::new(&unit).file_name().unwrap());
        let text = fs::read_to_string(folder.join(&unit)).unwrap();
        let (line, _) = text.split_once(" serve\n").unwrap();
        let (_, program) = line.rsplit_once("ExecStart=").unwrap();
        // The program is not installed here.
        fs::write(&copy, text.replace(program, "/bin/true")).unwrap();
        let arguments = [
            &["verify", "--man=no", "--recursive-errors=no"][..],
            &["security", "--offline=true", "--no-pager", "--threshold", EXPOSURE],
        ];
        for arguments in arguments {
            let Ok(output) = Command::new("systemd-analyze").args(arguments).arg(&copy).output() else {
                eprintln!("skipped: systemd-analyze is not installed");
                return;
            };
            let printed = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
            assert!(output.status.success(), "{unit}: {printed}");
            // It reports misspelt settings with success.
            assert!(arguments[0] != "verify" || printed.is_empty(), "{unit}: {printed}");
        }
    }
}
