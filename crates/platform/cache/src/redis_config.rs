//! Settings of the Redis connection.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Settings of Redis. There is no default address.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisConfig {
    /// Host and port, such as `cache:6379`.
    pub addr: Option<String>,
    /// The password, if Redis requires one.
    #[serde(skip_serializing)]
    pub password: Option<SecretString>,
    /// The number of the database.
    pub db: u32,
    /// Prefix of all keys, so that services can share a Redis.
    pub prefix: String,
    /// Timeout of a command. After a timeout, further commands fail immediately until a new connection works.
    pub timeout: Duration,
    /// Timeout of a connection attempt.
    pub connect_timeout: Duration,
    /// Interval between checks of an idle connection.
    pub heartbeat: Duration,
    /// Maximum lifetime in the memory tier: how stale a value can be at most when an invalidation is lost.
    pub memory_ttl: Duration,
}

impl Default for RedisConfig {
    fn default() -> Self {
        Self {
            addr: None,
            password: None,
            db: 0,
            prefix: "kennel".to_owned(),
            timeout: Duration::from_millis(250),
            connect_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(1),
            memory_ttl: Duration::from_secs(5),
        }
    }
}

impl RedisConfig {
    /// Adds one line for each invalid setting, starting with the setting's path.
    pub fn check(&self, path: &str, problems: &mut Vec<String>) {
        match &self.addr {
            None => problems.push(format!("{path}.addr: is needed by the cache `redis`, as host:port")),
            Some(addr) if host_and_port(addr).is_none() => {
                problems.push(format!("{path}.addr: must be host:port, as `cache:6379`"));
            }
            Some(_) => {}
        }
        if self.prefix.is_empty()
            || !self.prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        {
            problems.push(format!("{path}.prefix: must be letters, digits, `-`, `_` and `.`"));
        }
        let spans = [
            ("timeout", self.timeout),
            ("connect_timeout", self.connect_timeout),
            ("heartbeat", self.heartbeat),
            ("memory_ttl", self.memory_ttl),
        ];
        for (name, span) in spans {
            if span.is_zero() {
                problems.push(format!("{path}.{name}: must be longer than 0s"));
            }
        }
    }
}

/// Splits `host:port`; an IPv6 address is in brackets.
pub(crate) fn host_and_port(addr: &str) -> Option<(String, u16)> {
    let (host, port) = addr.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let host = bare.unwrap_or(host);
    let good = !host.is_empty() && !host.contains(['/', '@', ' ']) && (bare.is_some() || !host.contains(':'));
    let port = port.parse().ok().filter(|port| *port != 0)?;
    good.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(config: &RedisConfig) -> Vec<String> {
        let mut problems = Vec::new();
        config.check("cache.redis", &mut problems);
        problems
    }

    #[test]
    fn an_address_is_needed_and_is_host_and_port() {
        assert_eq!(
            problems(&RedisConfig::default()),
            ["cache.redis.addr: is needed by the cache `redis`, as host:port"]
        );
        for good in ["cache:6379", "127.0.0.1:1", "[::1]:6379"] {
            let config = RedisConfig { addr: Some(good.to_owned()), ..RedisConfig::default() };
            assert!(problems(&config).is_empty(), "{good}");
        }
        for bad in
            ["cache", ":6379", "cache:", "cache:0", "cache:70000", "redis://cache:6379", "::1:6379", "u:p@cache:1"]
        {
            let config = RedisConfig { addr: Some(bad.to_owned()), ..RedisConfig::default() };
            assert_eq!(problems(&config).len(), 1, "{bad}");
        }
    }

    #[test]
    fn all_problems_are_reported_together_and_no_secret() {
        let config = RedisConfig {
            password: Some("hunter2".to_owned().into()),
            prefix: "a*".to_owned(),
            timeout: Duration::ZERO,
            ..RedisConfig::default()
        };
        assert_eq!(problems(&config).len(), 3);
        let shown = format!("{config:?} {} {:?}", serde_json::to_string(&config).unwrap(), problems(&config));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}
