//! Converts a raw value to the type of its setting.

use figment::value::Value;

use crate::raw::Raw;

/// Type of a setting, as far as it matters for parsing the text of a variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any text, or the name of the syntax that the setting's own type parses.
    Text(Option<String>),
    Integer {
        min: i128,
        max: i128,
    },
    Number,
    Boolean,
    Choice(Vec<String>),
    /// Separated by commas in a variable.
    List(Box<Kind>),
}

const TRUE: [&str; 4] = ["true", "yes", "on", "1"];
const FALSE: [&str; 4] = ["false", "no", "off", "0"];

impl Kind {
    /// Returns the value, or an error that describes valid values. The error never quotes the raw value.
    pub(crate) fn read(&self, raw: &Raw) -> Result<Value, String> {
        match raw {
            Raw::Text(text) => self.read_text(text),
            Raw::NotUnicode => Err("is not UTF-8".to_owned()),
            Raw::Toml(value) => self.read_toml(value),
        }
        .map_err(|must| if must.starts_with("is ") { must } else { format!("must be {must}") })
    }

    fn read_text(&self, text: &str) -> Result<Value, String> {
        let word = text.trim();
        let read = match self {
            Self::Text(_) => Some(Value::from(text)),
            Self::Integer { .. } => word.parse().ok().and_then(|number| self.integer(number)),
            Self::Number => word.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from),
            Self::Boolean if TRUE.iter().any(|yes| yes.eq_ignore_ascii_case(word)) => Some(Value::from(true)),
            Self::Boolean if FALSE.iter().any(|no| no.eq_ignore_ascii_case(word)) => Some(Value::from(false)),
            Self::Boolean => None,
            Self::Choice(choices) => choice(choices, word),
            Self::List(item) => {
                let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
                return words.map(|word| item.read_text(word)).collect::<Result<Vec<_>, _>>().map(Value::from);
            }
        };
        read.ok_or_else(|| self.describe())
    }

    fn read_toml(&self, value: &toml::Value) -> Result<Value, String> {
        let read = match (self, value) {
            (Self::Text(_), toml::Value::String(text)) => Some(Value::from(text.as_str())),
            // The setting's own type parses it: a number of bytes can be a plain number.
            (Self::Text(Some(_)), toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_)) => {
                Some(Value::from(value.to_string()))
            }
            (Self::Integer { .. }, toml::Value::Integer(number)) => self.integer((*number).into()),
            (Self::Number, toml::Value::Float(number)) => Some(Value::from(*number)),
            (Self::Number, toml::Value::Integer(number)) => Some(Value::from(*number)),
            (Self::Boolean, toml::Value::Boolean(flag)) => Some(Value::from(*flag)),
            (Self::Choice(choices), toml::Value::String(text)) => choice(choices, text),
            (Self::List(item), toml::Value::Array(values)) => {
                let values: Result<Vec<_>, _> = values.iter().map(|value| item.read_toml(value)).collect();
                return values.map(Value::from);
            }
            _ => None,
        };
        read.ok_or_else(|| self.describe())
    }

    fn integer(&self, number: i128) -> Option<Value> {
        let Self::Integer { min, max } = self else { return None };
        if !(min..=max).contains(&&number) {
            return None;
        }
        i64::try_from(number).map(Value::from).or_else(|_| u64::try_from(number).map(Value::from)).ok()
    }

    /// Describes valid values.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::Text(None) => "text".to_owned(),
            Self::Text(Some(syntax)) => format!("a {syntax}"),
            Self::Integer { min, max } => format!("a whole number{}", range(*min, *max)),
            Self::Number => "a number".to_owned(),
            Self::Boolean => "true or false".to_owned(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::List(item) => format!("a list, each item {}", item.describe()),
        }
    }
}

/// Describes the range; omits bounds that are only those of the integer type.
fn range(min: i128, max: i128) -> String {
    match (min > i128::from(i64::MIN), max < i128::from(i64::MAX)) {
        (true, true) => format!(" in {min}..={max}"),
        (true, false) => format!(" of at least {min}"),
        (false, true) => format!(" of at most {max}"),
        (false, false) => String::new(),
    }
}

fn choice(choices: &[String], text: &str) -> Option<Value> {
    let exact = choices.iter().find(|choice| *choice == text);
    let found = exact.or_else(|| choices.iter().find(|choice| choice.eq_ignore_ascii_case(text)));
    found.map(|choice| Value::from(choice.as_str()))
}
