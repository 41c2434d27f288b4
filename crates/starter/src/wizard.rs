//! `kennel new` without answers: asks for them, shows what would be created, and creates it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::check;
use crate::prompt::Prompt;
use crate::spec::{Kind, STORES};

/// The answers, as the text of a `kennel.yaml`.
pub(crate) fn ask(prompt: &mut Prompt<'_>, folder: &Path) -> anyhow::Result<String> {
    let valid = |kind: &'static Kind| move |answer: &str| check::scalar(kind, answer, false).map(drop);
    let folder = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let default = if check::scalar(&Kind::Name, &folder, false).is_ok() { &folder } else { "" };
    let name = prompt.text("Name of the project", default, &valid(&Kind::Name))?;
    let is_text = |answer: &str| if answer.is_empty() { Ok(()) } else { valid(&Kind::Text)(answer) };
    let description = prompt.text("What it is, in one sentence", "", &is_text)?;
    let entity = prompt.text("What it stores, as one word", "item", &|entity| check_entity(&name, entity, None))?;
    let is_plural = |plural: &str| check_entity(&name, &entity, Some(plural));
    let plural = prompt.text("Several of them", &format!("{entity}s"), &is_plural)?;
    let stores = loop {
        let stores = prompt.choices("Stores, the default one first", &STORES, "sqlite")?;
        if !stores.is_empty() {
            break stores;
        }
    };
    let parts = loop {
        let mut parts = Vec::new();
        for (index, (question, ..)) in PARTS.iter().enumerate() {
            if prompt.confirm(question, index == 0)? {
                parts.push(index);
            }
        }
        if !parts.is_empty() {
            break parts;
        }
        writeln!(prompt.output(), "  a project needs at least one of them")?;
    };
    let mut text = format!("main:\n  name: {name}\n");
    if !description.is_empty() {
        writeln!(text, "  description: {}", serde_json::to_string(&description)?)?;
    }
    writeln!(text, "entity:\n  name: {entity}")?;
    if plural != format!("{entity}s") {
        writeln!(text, "  plural: {plural}")?;
    }
    writeln!(text, "storage: [{}]", stores.join(", "))?;
    let chosen = || parts.iter().map(|index| &PARTS[*index]);
    text.extend(chosen().map(|(_, _, section, _)| *section));
    text.push_str("applications:\n");
    // Servers and background work scale differently.
    for (suffix, is_server) in [("server", true), ("background", false)] {
        let mut lists = BTreeMap::<&str, Vec<&str>>::new();
        for (_, list, _, name) in chosen().filter(|(_, list, ..)| (*list == "transport") == is_server) {
            lists.entry(list).or_default().push(name);
        }
        if !lists.is_empty() {
            writeln!(text, "  - name: {name}-{suffix}")?;
        }
        for (list, names) in lists {
            writeln!(text, "    {list}: [{}]", names.join(", "))?;
        }
    }
    Ok(text)
}

/// Some words have another meaning in the generated code.
fn check_entity(project: &str, entity: &str, plural: Option<&str>) -> Result<(), String> {
    let plural = plural.map(|plural| format!("  plural: {plural}\n")).unwrap_or_default();
    let text = format!(
        "main:\n  name: {project}\nplatform:\n  path: .\nentity:\n  name: {entity}\n{plural}rest:\n  - name: web\n\
         applications:\n  - name: {project}-server\n    transport: [{{name: web}}]\n"
    );
    check::read(&text)
        .map(drop)
        .map_err(|problems| problems.into_iter().map(|problem| problem.message).take(1).collect())
}

/// What a project can have: the question, the list of an application, the section, and the element of the list.
const PARTS: &[(&str, &str, &str, &str)] = &[
    ("A REST API", "transport", "rest:\n  - name: web\n", "{name: web}"),
    ("A gRPC API", "transport", "grpc:\n  - name: rpc\n", "{name: rpc}"),
    ("A consumer of its events", "kafka", "kafka:\n  - name: indexer\n    type: consumer\n", "indexer"),
    (
        "A scheduled job",
        "worker",
        "worker:\n  - name: report\n    generator_type: schedule\n    interval: 1h\n",
        "report",
    ),
];
