//! Tasks of a queue.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::names::pascal;
use crate::check;
use crate::spec;
use crate::yaml::{Node, Problem};

/// A task.
#[derive(Debug, Clone, Deserialize)]
pub struct Task {
    /// Its name.
    pub name: String,
    /// What it does.
    #[serde(default)]
    pub description: String,
    /// The field by which tasks are ordered.
    pub key: Option<String>,
    /// Its data.
    #[serde(default)]
    pub fields: Vec<TaskField>,
}

/// A field of a task.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskField {
    /// Its name.
    pub name: String,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: String,
}

#[derive(Deserialize)]
struct File {
    queues: Vec<Task>,
}

/// Reads a file of tasks.
pub(super) fn read(text: &str) -> Result<Vec<Task>, Vec<Problem>> {
    let (root, file) = check::read_file::<File>(text, &spec::QUEUE)?;
    let mut problems = Vec::new();
    let (mut names, mut types) = (BTreeSet::new(), BTreeSet::new());
    let nodes = root.get("queues").map(Node::elements).unwrap_or_default();
    for (task, node) in file.queues.iter().zip(nodes) {
        let mut add = |node: &Node, message: String| problems.push(Problem { position: node.position, message });
        let at = |key: &str| node.get(key).unwrap_or(node);
        let ty = pascal(&task.name);
        if ty.is_none() {
            add(at("name"), format!("`{}` cannot be the name of a type", task.name));
        }
        if !names.insert(task.name.replace('-', "_")) {
            add(at("name"), format!("the task `{}` is listed twice", task.name));
        } else if !types.insert(ty) {
            add(at("name"), format!("the task `{}` has the type of another one", task.name));
        }
        let mut fields = BTreeSet::new();
        for (field, node) in task.fields.iter().zip(at("fields").elements()) {
            if !fields.insert(&*field.name) {
                add(node, format!("the field `{}` is listed twice", field.name));
            }
        }
        let key = task.key.as_ref().map(|key| (key, task.fields.iter().find(|field| field.name == *key)));
        match key {
            Some((key, None)) => {
                let known: Vec<_> = fields.into_iter().collect();
                add(at("key"), format!("unknown field `{key}`{}", check::hint(key, &known)));
            }
            Some((_, Some(field))) if !matches!(&*field.kind, "string" | "int" | "int64") => {
                add(at("key"), "must be a field of the type string, int or int64".to_owned());
            }
            _ => {}
        }
    }
    if problems.is_empty() {
        return Ok(file.queues);
    }
    problems.sort();
    Err(problems)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_problems_are_reported_with_positions() {
        let text = "\
queues:
  - name: send-mail
    key: adress
    fields:
      - {name: address, type: string}
      - {name: address, type: text}
  - {name: send-mail}
";
        let problems = |text: &str| -> Vec<_> { read(text).unwrap_err().iter().map(ToString::to_string).collect() };
        assert_eq!(
            problems(text),
            [
                "6:31: unknown value `text`; must be one of string, int, int64, float64, bool, []byte, []string, []int, []int64"
            ]
        );
        assert_eq!(
            problems(&text.replace("type: text", "type: bool")),
            [
                "3:10: unknown field `adress`; did you mean `address`?",
                "6:9: the field `address` is listed twice",
                "7:12: the task `send-mail` is listed twice",
            ]
        );
        let text = "queues: [{name: a-1}, {name: a1}]";
        assert_eq!(problems(text), ["1:30: the task `a1` has the type of another one"]);
        let text = "queues: [{name: a, key: b, fields: [{name: b, type: bool}]}]";
        assert_eq!(problems(text), ["1:25: must be a field of the type string, int or int64"]);
    }
}
