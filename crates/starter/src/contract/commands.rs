//! Commands of a command line.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::names::{pascal, snake};
use crate::check;
use crate::spec;
use crate::yaml::{Node, Position, Problem, Value};

/// Commands that every program has.
const STANDARD: &[&str] = &["serve", "migrate", "dlq", "config", "openapi", "asyncapi", "healthcheck", "help"];
/// Flags that every command has.
const STANDARD_FLAGS: &[&str] = &["help", "version"];

/// A command, or a group of commands.
#[derive(Debug, Clone, Deserialize)]
pub struct Command {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// Its flags.
    #[serde(default)]
    pub flags: Vec<Flag>,
    /// The commands of a group.
    #[serde(default)]
    pub subcommands: Vec<Command>,
}

/// A flag of a command.
#[derive(Debug, Clone, Deserialize)]
pub struct Flag {
    /// Its name.
    pub name: String,
    /// What its value is.
    #[serde(rename = "type")]
    pub kind: FlagKind,
    /// Whether the command needs it.
    #[serde(default)]
    pub required: bool,
    /// Its value if it is not given.
    pub default: Option<String>,
    /// What it means.
    pub description: String,
}

/// What the value of a flag is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlagKind {
    /// A text.
    String,
    /// A whole number.
    Int,
    /// A number.
    Float64,
    /// A truth value.
    Bool,
    /// A duration.
    Duration,
}

impl FlagKind {
    /// What a default of this kind has to be, if this one is something else.
    fn refuse(self, default: &str) -> Option<&'static str> {
        match self {
            Self::String => None,
            Self::Int => default.parse::<i64>().is_err().then_some("a whole number of 64 bits"),
            Self::Float64 => {
                let is_finite = default.parse::<f64>().is_ok_and(f64::is_finite);
                (!is_finite).then_some("a number")
            }
            Self::Bool => (!matches!(default, "true" | "false")).then_some("`true` or `false`"),
            Self::Duration => (!check::is_duration(default)).then_some("a duration such as `30s`, `5m` or `1h`"),
        }
    }
}

#[derive(Deserialize)]
struct File {
    commands: Vec<Command>,
}

/// Reads a file of commands.
pub(super) fn read(text: &str) -> Result<Vec<Command>, Vec<Problem>> {
    let (root, file) = check::read_file::<File>(text, &spec::COMMANDS)?;
    let mut checker = Checker { functions: BTreeSet::new(), types: BTreeSet::new(), problems: Vec::new() };
    checker.commands(&file.commands, root.get("commands").map(Node::elements).unwrap_or_default(), None);
    if checker.problems.is_empty() {
        return Ok(file.commands);
    }
    checker.problems.sort();
    Err(checker.problems)
}

/// What the commands of a file say about each other.
struct Checker {
    /// The names of the functions that run the commands.
    functions: BTreeSet<String>,
    /// The names of their types, with those of their groups: `a-1` and `a1` are two functions, but one type.
    types: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Checker {
    fn add(&mut self, position: Position, message: impl Into<String>) {
        self.problems.push(Problem { position, message: message.into() });
    }

    fn commands(&mut self, commands: &[Command], nodes: &[Node], group: Option<&str>) {
        for (command, node) in commands.iter().zip(nodes) {
            let at = |key: &str| node.get(key).unwrap_or(node).position;
            if group.is_none() && STANDARD.contains(&&*command.name) || command.name == "help" {
                self.add(at("name"), format!("`{}` is a command of every program", command.name));
            }
            if pascal(&command.name).is_none() {
                self.add(at("name"), format!("`{}` cannot be the name of a type", command.name));
            }
            let ty: String = group.into_iter().chain([&*command.name]).filter_map(pascal).collect();
            if !self.functions.insert(function(group, &command.name)) | !self.types.insert(ty) {
                self.add(at("name"), format!("the command `{}` has the name of another one", command.name));
            }
            if !command.subcommands.is_empty() && node.get("flags").is_some() {
                self.add(at("flags"), "a group of commands has no flags of its own");
            }
            self.flags(&command.flags, node.get("flags").map(Node::elements).unwrap_or_default());
            let nodes = node.get("subcommands").map(Node::elements).unwrap_or_default();
            self.commands(&command.subcommands, nodes, Some(&command.name));
        }
    }

    fn flags(&mut self, flags: &[Flag], nodes: &[Node]) {
        let mut names = BTreeSet::new();
        for (flag, node) in flags.iter().zip(nodes) {
            let at = |key: &str| node.get(key).unwrap_or(node).position;
            if STANDARD_FLAGS.contains(&&*flag.name) {
                self.add(at("name"), format!("`--{}` is a flag of every command", flag.name));
            }
            if !names.insert(&flag.name) {
                self.add(at("name"), format!("the flag `--{}` is listed twice", flag.name));
            }
            if flag.required && flag.default.is_some() {
                self.add(at("default"), "a required flag has no default");
            }
            if let Some(must) = flag.default.as_ref().and_then(|default| flag.kind.refuse(default)) {
                self.add(at("default"), format!("must be {must}"));
            }
            let is_text = matches!(node.get("default").map(|node| &node.value), Some(Value::Scalar(_, true)));
            if flag.kind == FlagKind::String && is_text && flag.default.as_deref().is_some_and(is_ambiguous) {
                self.add(at("default"), "a text that looks like another value needs quotes");
            }
        }
    }
}

/// Whether a reader of YAML may take the text for a number, a truth value or nothing.
fn is_ambiguous(text: &str) -> bool {
    let words = ["true", "false", "yes", "no", "on", "off", "null", "~", ""];
    words.contains(&&*text.to_lowercase()) || text.parse::<f64>().is_ok()
}

/// The name of the function that runs a command.
pub fn function(group: Option<&str>, name: &str) -> String {
    let path = [group, Some(name)].into_iter().flatten().collect::<Vec<_>>().join("-");
    snake(&path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        read(text).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_problems_are_reported_with_positions() {
        let text = "\
commands:
  - name: serve
    description: a
  - name: user
    description: b
    flags: []
    subcommands:
      - {name: create, description: c, flags: [{name: n, type: int, default: x, description: d}]}
      - {name: create, description: c}
  - name: user-create
    description: e
    flags:
      - {name: help, type: bool, description: f}
      - {name: a, type: string, required: true, default: b, description: f}
      - {name: a, type: string, default: 5, description: f}
      - {name: b, type: duration, default: 1y, description: f}
      - {name: c, type: bool, default: 'yes', description: f}
";
        assert_eq!(
            problems(text),
            [
                "2:11: `serve` is a command of every program",
                "6:12: a group of commands has no flags of its own",
                "8:78: must be a whole number of 64 bits",
                "9:16: the command `create` has the name of another one",
                "10:11: the command `user-create` has the name of another one",
                "13:16: `--help` is a flag of every command",
                "14:58: a required flag has no default",
                "15:16: the flag `--a` is listed twice",
                "15:42: a text that looks like another value needs quotes",
                "16:44: must be a duration such as `30s`, `5m` or `1h`",
                "17:40: must be `true` or `false`",
            ]
        );
        let one_type = "commands:\n  - {name: a-1, description: b}\n  - {name: a1, description: b}\n";
        assert_eq!(problems(one_type), ["3:12: the command `a1` has the name of another one"]);
        let misspelt = "commands:\n  - {name: a, description: b, flag: []}\n";
        assert_eq!(problems(misspelt), ["2:31: unknown key `flag`; did you mean `flags`?"]);
        let kind = "commands:\n  - {name: a, description: b, flags: [{name: c, type: integer, description: d}]}\n";
        assert_eq!(
            problems(kind),
            ["2:55: unknown value `integer`; must be one of string, int, float64, bool, duration"]
        );
    }

    #[test]
    fn a_value_of_zero_can_be_required_and_be_a_default() {
        let text = "commands:\n  - name: a\n    description: b\n    flags:\n      - {name: n, type: int, default: 0, description: c}\n      - {name: force, type: bool, required: true, description: c}\n";
        let commands = read(text).unwrap();
        assert_eq!(commands[0].flags[0].default.as_deref(), Some("0"));
        assert!(commands[0].flags[1].required);
    }
}
