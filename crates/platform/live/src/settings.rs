//! Single values.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::Values;

/// Hands out the values of a service. Clones share them.
#[derive(Debug, Clone)]
pub struct LiveSettings {
    service: &'static str,
    values: watch::Receiver<Arc<Values>>,
}

impl LiveSettings {
    pub(crate) const fn new(service: &'static str, values: watch::Receiver<Arc<Values>>) -> Self {
        Self { service, values }
    }

    /// Without a source: the defaults apply.
    pub fn defaults(service: &'static str) -> Self {
        // The sender is dropped, so there is no change.
        Self::new(service, watch::channel(Arc::default()).1)
    }

    /// The value of `key`, such as `transport/rest/web/timeout`, below the name of the service; `default` while there is
    /// none.
    pub fn value<T>(&self, key: &str, default: T) -> LiveValue<T>
    where
        T: FromStr<Err: Display> + Clone + Send,
    {
        self.checked(key, default, |_| Ok(()))
    }

    /// A value that has to pass a check, whose error says what it must be.
    pub fn checked<T>(&self, key: &str, default: T, check: fn(&T) -> Result<(), String>) -> LiveValue<T>
    where
        T: FromStr<Err: Display> + Clone + Send,
    {
        let key = format!("{}/{key}", self.service);
        let state = State { seen: None, current: default.clone() };
        let inner = Inner { key, default, check, values: self.values.clone(), state: Mutex::new(state) };
        LiveValue(Arc::new(inner))
    }
}

/// A value that may change at any time. Clones are the same value.
#[derive(Debug)]
pub struct LiveValue<T>(Arc<Inner<T>>);

#[derive(Debug)]
struct Inner<T> {
    key: String,
    default: T,
    check: fn(&T) -> Result<(), String>,
    values: watch::Receiver<Arc<Values>>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    /// The values from which the current one was read.
    seen: Option<Arc<Values>>,
    current: T,
}

impl<T> Clone for LiveValue<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: FromStr<Err: Display> + Clone> LiveValue<T> {
    /// The value now: that of the source, the last valid one if that is invalid, or the default.
    pub fn get(&self) -> T {
        let inner = &*self.0;
        let mut state = inner.state.lock().unwrap_or_else(PoisonError::into_inner);
        let values = Arc::clone(&inner.values.borrow());
        if state.seen.as_ref().is_none_or(|seen| !Arc::ptr_eq(seen, &values)) {
            match inner.read(&values) {
                Ok(value) => state.current = value,
                Err(must) => tracing::warn!(key = inner.key, "live setting is invalid, the last value applies: {must}"),
            }
            state.seen = Some(values);
        }
        state.current.clone()
    }
}

impl<T: FromStr<Err: Display> + Clone> Inner<T> {
    fn read(&self, values: &Values) -> Result<T, String> {
        let Some(text) = values.get(&self.key) else { return Ok(self.default.clone()) };
        let value = text.parse().map_err(|error: T::Err| error.to_string())?;
        (self.check)(&value)?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Arc<Values> {
        Arc::new([("shop/limit".to_owned(), text.to_owned())].into())
    }

    #[test]
    fn the_last_valid_value_applies() {
        let (sender, receiver) = watch::channel(Arc::default());
        let settings = LiveSettings::new("shop", receiver);
        let check = |limit: &u32| if *limit > 0 { Ok(()) } else { Err("must be at least 1".to_owned()) };
        let limit = settings.checked("limit", 10, check);
        assert_eq!(limit.get(), 10);
        for (text, expected) in [("20", 20), ("many", 20), ("0", 20), ("30", 30)] {
            sender.send_replace(values(text));
            assert_eq!(limit.clone().get(), expected, "{text}");
        }
        sender.send_replace(Arc::default());
        assert_eq!(limit.get(), 10);
        assert_eq!(LiveSettings::defaults("shop").value("limit", 5).get(), 5);
    }
}
