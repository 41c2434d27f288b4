//! Checks that several sections use, each with one wording.

use std::fmt::Display;
use std::ops::{Bound, RangeBounds};

use url::Url;

use crate::duration::HumanDuration;
use crate::problem::Problems;
use crate::secret::Secret;

/// The requirement on URLs that are not secret: they are printed, so they must not contain credentials.
const WEB_URL: &str = "must be an http or https URL without a user or a password";

impl Problems {
    /// Adds an error if the value of the setting `key` is not in the range: "must be 100ms to 10m", in the unit in which
    /// the setting is written.
    pub fn check_range<T: PartialOrd + Copy + Display>(&mut self, key: &str, value: T, range: impl RangeBounds<T>) {
        if range.contains(&value) {
            return;
        }
        // The alternate form of a size always has a unit.
        let must = match (range.start_bound(), range.end_bound()) {
            (Bound::Included(min), Bound::Included(max)) => format!("must be {min:#} to {max:#}"),
            (Bound::Included(min), _) => format!("must be at least {min:#}"),
            (_, Bound::Included(max)) => format!("must be at most {max:#}"),
            (_, Bound::Excluded(max)) => format!("must be less than {max:#}"),
            (Bound::Excluded(min), _) => format!("must be more than {min:#}"),
            (Bound::Unbounded, Bound::Unbounded) => return,
        };
        self.add(key, must);
    }

    /// Adds an error if the duration is zero.
    pub fn check_not_zero(&mut self, key: &str, duration: HumanDuration) {
        if duration.get().is_zero() {
            self.add(key, "must be longer than 0s");
        }
    }

    /// Adds an error if a URL is set that is not an `http` or `https` URL without credentials. Such a URL is printed.
    pub fn check_web_url(&mut self, key: &str, url: Option<&str>) {
        if url.is_some_and(|text| !is_web_url(text)) {
            self.add(key, WEB_URL);
        }
    }

    /// Adds an error as [`check_web_url`](Self::check_web_url), or if paths cannot be appended to the URL.
    pub fn check_base_url(&mut self, key: &str, url: Option<&str>) {
        self.check_web_url(key, url);
        if url.is_some_and(|text| text.contains(['?', '#'])) {
            self.add(key, "must not have a query or a fragment: paths are appended to it");
        }
    }

    /// Returns the URL of a server, or several separated by commas, with the separately configured password. Adds an
    /// error if the URL is not set, which `reason` requires, such as "the broker is nats", or cannot have the password.
    pub fn server_url(
        &mut self,
        (key, url): (&str, Option<&Secret>),
        (password_key, password): (&str, Option<&Secret>),
        reason: impl Display,
    ) -> Option<Secret> {
        let Some(url) = url.filter(|url| !url.expose().trim().is_empty()) else {
            self.add(key, format!("must be set when {reason}"));
            return None;
        };
        match url.with_password(password) {
            Ok(url) => Some(url),
            Err(reason) => {
                self.add(password_key, format!("the URL of this password {reason}"));
                None
            }
        }
    }
}

fn is_web_url(text: &str) -> bool {
    // The parser corrects a missing host, so that the first segment of the path would become the host.
    let has_authority = text.split_once("://").is_some_and(|(_, rest)| !rest.starts_with('/'));
    has_authority
        && !text.contains(char::is_whitespace)
        && Url::parse(text).is_ok_and(|url| {
            let bare = url.username().is_empty() && url.password().is_none();
            matches!(url.scheme(), "http" | "https") && url.has_host() && bare
        })
}
