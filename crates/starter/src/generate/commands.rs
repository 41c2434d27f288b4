//! The variables of templates for command lines.

use minijinja::{Value, context};

use super::variables::ident;
use crate::config::{Cli, Config};
use crate::contract::Command;
use crate::contract::commands::{Flag, FlagKind, function};
use crate::contract::names::{pascal, snake};
use crate::words;

/// Commands with more flags than this are boxed: the variants of an enum should not differ much in size.
const MAX_INLINE_FLAGS: usize = 7;
/// `clippy::struct_excessive_bools` allows so many.
const MAX_SWITCHES: usize = 3;

/// Of the modules of a command line, and of the application that it is.
pub(super) fn command_line(config: &Config, cli: &Cli, commands: &[Command]) -> Value {
    let leaves: Vec<(Option<&Command>, &Command)> = commands
        .iter()
        .flat_map(|command| match &command.subcommands[..] {
            [] => vec![(None, command)],
            inner => inner.iter().map(|inner| (Some(command), inner)).collect(),
        })
        .collect();
    let flags: Vec<_> = leaves.iter().flat_map(|(_, command)| &command.flags).collect();
    let mut types: Vec<_> = leaves.iter().filter_map(|(group, command)| flags_type(*group, command)).collect();
    types.sort();
    let queue = |name: &String| context! { name => name, module => ident(name), Name => words::pascal(name) };
    let adds = config.application_with(&cli.name).map(|app| app.queue.iter().map(queue).collect::<Vec<_>>());
    context! { ident => ident(&config.main.name), name => cli.name.clone(), adds => adds.unwrap_or_default(), module => ident(&cli.name),
    Name => words::pascal(&cli.name), path => cli.path.clone(), types => types, has_flags => !flags.is_empty(),
    uses_duration => flags.iter().any(|flag| flag.kind == FlagKind::Duration),
    commands => commands.iter().map(|command| row(None, command)).collect::<Vec<_>>(),
    leaves => leaves.iter().map(|(group, command)| leaf(*group, command)).collect::<Vec<_>>() }
}

/// A command as the variant of an enum.
fn row(group: Option<&Command>, command: &Command) -> Value {
    let name = pascal(&command.name).unwrap_or_default();
    let is_group = !command.subcommands.is_empty();
    let inner: Vec<_> = command.subcommands.iter().map(|inner| row(Some(command), inner)).collect();
    let is_boxed = command.flags.len() > MAX_INLINE_FLAGS;
    let flags = flags_type(group, command);
    let content = match flags {
        _ if is_group => Some(format!("{name}Commands")),
        Some(flags) if is_boxed => Some(format!("Box<{flags}>")),
        flags => flags,
    };
    context! { name => command.name.clone(), about => format!("{:?}", command.description), variant => name.clone(),
    group => is_group.then(|| format!("{name}Commands")), content => content,
    unboxed => if is_boxed { "*flags" } else { "flags" },
    fn => function(group.map(|group| &*group.name), &command.name), commands => inner }
}

/// A command as a function.
fn leaf(group: Option<&Command>, command: &Command) -> Value {
    let words: Vec<_> = group.map(|group| group.name.clone()).into_iter().chain([command.name.clone()]).collect();
    let quoted = |words: &[String]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
    let required = command.flags.iter().filter(|flag| flag.required);
    let given = required.clone().map(|flag| format!("--{}={}", flag.name, example(flag.kind)));
    let arguments: Vec<_> = words.iter().cloned().chain(given).collect();
    let switches = command.flags.iter().filter(|flag| flag.kind == FlagKind::Bool).count();
    context! { path => words.join(" "), words => quoted(&words), arguments => quoted(&arguments),
    fn => function(group.map(|group| &*group.name), &command.name), flags => flags_type(group, command),
    has_required => required.count() > 0, many_switches => switches > MAX_SWITCHES,
    all => command.flags.iter().map(flag).collect::<Vec<_>>() }
}

/// The type of a command's flags; none if it has no flags.
fn flags_type(group: Option<&Command>, command: &Command) -> Option<String> {
    let name = group.into_iter().chain([command]).filter_map(|command| pascal(&command.name)).collect::<String>();
    (!command.flags.is_empty()).then(|| format!("{name}Flags"))
}

/// A flag as a field.
fn flag(flag: &Flag) -> Value {
    let ty = match flag.kind {
        FlagKind::String => "String",
        FlagKind::Int => "i64",
        FlagKind::Float64 => "f64",
        FlagKind::Bool => "bool",
        FlagKind::Duration => "HumanDuration",
    };
    let has_value = flag.required || flag.default.is_some();
    let is_switch = flag.kind == FlagKind::Bool;
    let mut attributes = vec![format!("long = {:?}", flag.name)];
    if matches!(flag.kind, FlagKind::Int | FlagKind::Float64) {
        attributes.push("allow_negative_numbers = true".to_owned());
    }
    if is_switch && has_value {
        attributes.push("action = clap::ArgAction::Set".to_owned());
    }
    if let Some(default) = &flag.default {
        attributes.push(format!("default_value = {default:?}"));
    }
    attributes.push(format!("help = {:?}", flag.description));
    let ty = if has_value || is_switch { ty.to_owned() } else { format!("Option<{ty}>") };
    context! { name => flag.name.clone(), ident => snake(&flag.name), ty => ty, attributes => attributes.join(", ") }
}

/// A value of a flag, for a test.
const fn example(kind: FlagKind) -> &'static str {
    match kind {
        FlagKind::String => "text",
        FlagKind::Int => "-1",
        FlagKind::Float64 => "0.5",
        FlagKind::Bool => "false",
        FlagKind::Duration => "1s",
    }
}
