//! A watched file.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};
use toml::{Table, Value};

use crate::{LiveError, LiveSource, Values};

/// How often the file is read, and how long a new content must stay the same: while a program writes a file, others can
/// read its start. Reading it, and not waiting for a notification, also works on network drives, and when a link is
/// replaced as Kubernetes does.
const INTERVAL: Duration = Duration::from_millis(500);

/// The values of a TOML file: `timeout` in the table `[shop.transport.rest.web]` has the key
/// `shop/transport/rest/web/timeout`, as has `"shop/transport/rest/web/timeout"` at the top. A missing file has no values.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    /// What was read last; `None` before the first call, and after an error.
    last: Option<String>,
    /// The text that could not be read last: its error is not repeated.
    refused: Option<String>,
    /// A new content, and when it was there first.
    candidate: Option<(String, Instant)>,
    has_started: bool,
}

impl FileSource {
    /// The file at a path.
    pub const fn new(path: PathBuf) -> Self {
        Self { path, last: None, refused: None, candidate: None, has_started: false }
    }

    async fn read(&self) -> Result<String, LiveError> {
        match tokio::fs::read_to_string(&self.path).await {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(LiveError::Invalid(error.into())),
            Err(error) => Err(LiveError::Unavailable(error.into())),
        }
    }
}

impl FileSource {
    /// Whether a text is new, and was the same before. At the start there is nothing to wait for.
    fn is_complete(&mut self, text: &str) -> bool {
        let is_first = !std::mem::replace(&mut self.has_started, true);
        if self.last.as_deref() == Some(text) || self.refused.as_deref() == Some(text) {
            self.candidate = None;
            return false;
        }
        match &self.candidate {
            Some((candidate, since)) if candidate == text => since.elapsed() >= INTERVAL,
            _ if is_first => true,
            _ => {
                self.candidate = Some((text.to_owned(), Instant::now()));
                false
            }
        }
    }
}

#[async_trait]
impl LiveSource for FileSource {
    async fn next(&mut self) -> Result<Values, LiveError> {
        loop {
            let text = match self.read().await {
                Ok(text) => text,
                Err(error) => {
                    self.last = None;
                    return Err(error);
                }
            };
            if self.is_complete(&text) {
                match values(&text) {
                    Ok(values) => {
                        (self.last, self.refused) = (Some(text), None);
                        return Ok(values);
                    }
                    Err(error) => {
                        (self.last, self.refused) = (None, Some(text));
                        return Err(error);
                    }
                }
            }
            sleep(INTERVAL).await;
        }
    }
}

fn values(text: &str) -> Result<Values, LiveError> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| LiveError::Invalid(error.message().into()))?;
    let mut values = Values::new();
    collect("", &table, &mut values)?;
    Ok(values)
}

fn collect(prefix: &str, table: &Table, values: &mut Values) -> Result<(), LiveError> {
    for (key, value) in table {
        let key = format!("{prefix}{key}");
        let text = match value {
            Value::Table(table) => {
                collect(&format!("{key}/"), table, values)?;
                continue;
            }
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(flag) => flag.to_string(),
            // Whoever uses the key decides whether it can be read: one bad value must not block those of other services.
            Value::Array(_) | Value::Datetime(_) => value.to_string(),
        };
        if values.insert(key.clone(), text).is_some() {
            return Err(LiveError::Invalid(format!("`{key}` is there twice").into()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_paths() {
        let text = "\"a/b\" = true\n[shop.transport.rest.web]\ntimeout = '5s'\nlimit = 3\nratio = 0.5\n";
        let read: Vec<_> = values(text).unwrap().into_iter().map(|(key, value)| format!("{key}={value}")).collect();
        let web = "shop/transport/rest/web";
        assert_eq!(
            read,
            ["a/b=true", &format!("{web}/limit=3"), &format!("{web}/ratio=0.5"), &format!("{web}/timeout=5s")]
        );
        assert_eq!(values("a = [1, 2]").unwrap()["a"], "[1, 2]");
        for invalid in ["a =", "\"a/b\" = 1\na.b = 2"] {
            assert!(matches!(values(invalid), Err(LiveError::Invalid(_))), "{invalid}");
        }
    }
}
