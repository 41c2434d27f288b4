//! Settings of S3.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Minimum size of a part in S3, except the last one, in bytes.
pub(crate) const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;

/// Settings of S3 or a server with the same API. Addresses, names and credentials have no default.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3Config {
    /// The id of the access key.
    pub key: Option<String>,
    /// The secret of the access key.
    #[serde(skip_serializing)]
    pub secret: Option<SecretString>,
    /// The bucket.
    pub bucket: Option<String>,
    /// Base URL, such as `http://minio:9000`. Unset: Amazon's endpoint of the region.
    pub endpoint: Option<String>,
    /// Base URL of the same store for browsers, used in presigned URLs. Unset: `endpoint`.
    pub endpoint_public: Option<String>,
    /// The region. Unset: `us-east-1` if `endpoint` is set; required otherwise.
    pub region: Option<String>,
    /// Put the bucket into the path instead of the host name. Unset: true if `endpoint` is set.
    pub path_style: Option<bool>,
    /// Create the bucket if it does not exist. For development: such a bucket has no lifecycle rules and policies.
    pub create_bucket: bool,
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Timeout of one attempt of a request, until the response starts. There are up to three attempts within twice this
    /// time.
    pub timeout: Duration,
    /// Bodies up to this many bytes are sent in one request, longer ones as a multipart upload with parts of this size:
    /// 5 MiB to 1 GiB. Two parts are in memory at a time.
    pub part_bytes: u64,
}

impl Default for S3Config {
    fn default() -> Self {
        Self {
            key: None,
            secret: None,
            bucket: None,
            endpoint: None,
            endpoint_public: None,
            region: None,
            path_style: None,
            create_bucket: false,
            connect_timeout: Duration::from_secs(3),
            timeout: Duration::from_secs(15),
            part_bytes: 8 * 1024 * 1024,
        }
    }
}

impl S3Config {
    /// Adds one line for each invalid setting, starting with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        let needed = [
            ("key", self.key.is_none()),
            ("secret", self.secret.is_none()),
            ("bucket", self.bucket.as_deref().is_none_or(str::is_empty)),
            ("region", self.region.is_none() && self.endpoint.is_none()),
        ];
        for (name, _) in needed.iter().filter(|(_, missing)| *missing) {
            problems.push(format!("{path}.{name}: is needed by the object store `s3`"));
        }
        for (name, url) in [("endpoint", &self.endpoint), ("endpoint_public", &self.endpoint_public)] {
            if url.as_deref().is_some_and(|url| !is_base_url(url)) {
                problems.push(format!("{path}.{name}: must be an http or https URL without user, query and fragment"));
            }
        }
        for (name, span) in [("connect_timeout", self.connect_timeout), ("timeout", self.timeout)] {
            if span.is_zero() {
                problems.push(format!("{path}.{name}: must be longer than 0s"));
            }
        }
        if !(MIN_PART_BYTES..=1024 * 1024 * 1024).contains(&self.part_bytes) {
            problems.push(format!("{path}.part_bytes: must be 5 MiB to 1 GiB"));
        }
    }

    /// Returns the effective region.
    pub fn region(&self) -> &str {
        self.region.as_deref().unwrap_or("us-east-1")
    }

    /// Returns whether the bucket is in the path of a URL.
    pub fn path_style(&self) -> bool {
        self.path_style.unwrap_or(self.endpoint.is_some())
    }
}

fn is_base_url(text: &str) -> bool {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with('/') && !rest.contains(['@', '?', '#', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &S3Config) -> Vec<String> {
        let mut problems = Vec::new();
        config.check("s3", &mut problems);
        problems
    }

    fn complete() -> S3Config {
        S3Config {
            key: Some("id".to_owned()),
            secret: Some("hunter2".to_owned().into()),
            bucket: Some("dogs".to_owned()),
            endpoint: Some("http://minio:9000".to_owned()),
            ..S3Config::default()
        }
    }

    #[test]
    fn addresses_and_credentials_are_required() {
        let found = problems(&S3Config::default());
        for (line, name) in found.iter().zip(["key", "secret", "bucket", "region"]) {
            assert_eq!(*line, format!("s3.{name}: is needed by the object store `s3`"));
        }
        assert_eq!(found.len(), 4);
        assert!(problems(&complete()).is_empty());
        assert!(problems(&S3Config { endpoint: None, region: Some("eu-west-1".to_owned()), ..complete() }).is_empty());
    }

    #[test]
    fn endpoints_are_base_urls() {
        for bad in ["minio:9000", "ftp://minio", "http://", "http://u:p@minio", "http://minio?x", "http:///x"] {
            let config = S3Config { endpoint_public: Some(bad.to_owned()), ..complete() };
            assert_eq!(problems(&config).len(), 1, "{bad}");
        }
    }

    #[test]
    fn parts_are_as_s3_takes_them() {
        assert_eq!(problems(&S3Config { part_bytes: MIN_PART_BYTES - 1, ..complete() }).len(), 1);
    }

    #[test]
    fn the_secret_is_shown_nowhere() {
        let shown = format!("{:?} {}", complete(), serde_json::to_string(&complete()).unwrap());
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
