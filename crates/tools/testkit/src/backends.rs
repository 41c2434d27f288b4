//! Discovery of the real servers for tests.
//!
//! `TEST_<NAME>` variables contain their addresses. Tests of a server whose variable is not set print that they are
//! skipped, or fail if `REQUIRE_BACKENDS` lists the server.

/// Prefix of the line that a test prints when it is skipped.
pub const SKIPPED: &str = "skipped: ";

/// Prints that the current test is skipped, and why. Such tests are counted separately from those that passed.
pub fn skip(reason: &str) {
    eprintln!("{SKIPPED}{reason}");
}

/// A server or program that tests can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// `PostgreSQL`, by `TEST_POSTGRES_DSN`.
    Postgres,
    /// `PgBouncer` in front of that `PostgreSQL`, with `pool_mode = transaction`, by `TEST_PGBOUNCER_ADDR`.
    PgBouncer,
    /// MySQL, by `TEST_MYSQL_DSN`.
    MySql,
    /// ClickHouse, by `TEST_CLICKHOUSE_DSN`.
    ClickHouse,
    /// Redis, by `TEST_REDIS_ADDR`.
    Redis,
    /// NATS, by `TEST_NATS_URL`.
    Nats,
    /// NATS, newest version, by `TEST_NATS_CURRENT_URL`; the other may be years older.
    NatsCurrent,
    /// Kafka, by `TEST_KAFKA_BROKERS`.
    Kafka,
    /// Kafka with SASL authentication, by `TEST_KAFKA_SASL_BROKERS`.
    KafkaSasl,
    /// RabbitMQ, by `TEST_RABBITMQ_URL`.
    RabbitMq,
    /// S3 or a compatible server, by `TEST_S3_ENDPOINT`.
    S3,
    /// Prometheus, by `TEST_PROMETHEUS`: the path of the program, next to `promtool`. Tests start their own.
    Prometheus,
    /// Chromium, by `TEST_CHROMIUM`: the path of the program. Tests start their own, from Node.
    Chromium,
    /// Servers that a test starts, restarts and wipes itself, by `TEST_SERVER_PROGRAM`: the path of `.ci/services`.
    PrivateServers,
    /// libfaketime, by `TEST_FAKETIME`: the path of the library. Tests start programs with it to skew their clocks.
    Faketime,
    /// Nginx, by `TEST_NGINX`: the path of the program. Tests start their own in front of the service.
    Nginx,
    /// schemathesis, by `TEST_SCHEMATHESIS`: the path of the program. Tests start it against their own service.
    Schemathesis,
    /// Helm, by `TEST_HELM`: the path of the program. `TEST_KUBERNETES_VALIDATE` is that of the validator of what it renders.
    Helm,
}

/// Why the tests of a backend must fail.
#[derive(Debug, PartialEq, Eq)]
enum ConfigurationError {
    Missing(Backend),
    Unknown(String),
}

impl Backend {
    /// All backends.
    pub const ALL: [Self; 18] = [
        Self::Postgres,
        Self::PgBouncer,
        Self::MySql,
        Self::ClickHouse,
        Self::Redis,
        Self::Nats,
        Self::NatsCurrent,
        Self::Kafka,
        Self::KafkaSasl,
        Self::RabbitMq,
        Self::S3,
        Self::Prometheus,
        Self::Chromium,
        Self::PrivateServers,
        Self::Faketime,
        Self::Nginx,
        Self::Schemathesis,
        Self::Helm,
    ];

    /// Name of the backend in `REQUIRE_BACKENDS`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PgBouncer => "pgbouncer",
            Self::MySql => "mysql",
            Self::ClickHouse => "clickhouse",
            Self::Redis => "redis",
            Self::Nats => "nats",
            Self::NatsCurrent => "nats_current",
            Self::Kafka => "kafka",
            Self::KafkaSasl => "kafka_sasl",
            Self::RabbitMq => "rabbitmq",
            Self::S3 => "s3",
            Self::Prometheus => "prometheus",
            Self::Chromium => "chromium",
            Self::PrivateServers => "private_servers",
            Self::Faketime => "faketime",
            Self::Nginx => "nginx",
            Self::Schemathesis => "schemathesis",
            Self::Helm => "helm",
        }
    }

    /// Environment variable with the address of the backend.
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "TEST_POSTGRES_DSN",
            Self::PgBouncer => "TEST_PGBOUNCER_ADDR",
            Self::MySql => "TEST_MYSQL_DSN",
            Self::ClickHouse => "TEST_CLICKHOUSE_DSN",
            Self::Redis => "TEST_REDIS_ADDR",
            Self::Nats => "TEST_NATS_URL",
            Self::NatsCurrent => "TEST_NATS_CURRENT_URL",
            Self::Kafka => "TEST_KAFKA_BROKERS",
            Self::KafkaSasl => "TEST_KAFKA_SASL_BROKERS",
            Self::RabbitMq => "TEST_RABBITMQ_URL",
            Self::S3 => "TEST_S3_ENDPOINT",
            Self::Prometheus => "TEST_PROMETHEUS",
            Self::Chromium => "TEST_CHROMIUM",
            Self::PrivateServers => "TEST_SERVER_PROGRAM",
            Self::Faketime => "TEST_FAKETIME",
            Self::Nginx => "TEST_NGINX",
            Self::Schemathesis => "TEST_SCHEMATHESIS",
            Self::Helm => "TEST_HELM",
        }
    }

    /// Address of the server. Without one, prints that the test is skipped and returns `None`.
    ///
    /// # Panics
    /// If `REQUIRE_BACKENDS` lists the backend and its variable is not set, or if it lists an unknown name.
    pub fn address(self) -> Option<String> {
        match self.find(|name| std::env::var(name).ok()) {
            Ok(Some(address)) => Some(address),
            Ok(None) => {
                skip(&format!("{} is not set, so nothing is tested against {}", self.variable(), self.name()));
                None
            }
            Err(ConfigurationError::Missing(_)) => {
                panic!("REQUIRE_BACKENDS lists {}, but {} is not set", self.name(), self.variable())
            }
            Err(ConfigurationError::Unknown(name)) => panic!("REQUIRE_BACKENDS lists `{name}`, which is not a backend"),
        }
    }

    fn find(self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, ConfigurationError> {
        let required = variable("REQUIRE_BACKENDS").unwrap_or_default();
        let required: Vec<_> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = required.iter().find(|name| !Self::ALL.iter().any(|backend| backend.name() == **name)) {
            return Err(ConfigurationError::Unknown((*unknown).to_owned()));
        }
        let address = variable(self.variable()).filter(|address| !address.is_empty());
        if address.is_none() && required.contains(&self.name()) {
            return Err(ConfigurationError::Missing(self));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(backend: Backend, variables: &[(&str, &str)]) -> Result<Option<String>, ConfigurationError> {
        backend.find(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_backend_with_an_address_is_used() {
        let variables = [("TEST_NATS_URL", "nats://localhost"), ("REQUIRE_BACKENDS", "nats")];
        assert_eq!(find(Backend::Nats, &variables), Ok(Some("nats://localhost".to_owned())));
        assert_eq!(find(Backend::Kafka, &variables), Ok(None));
    }

    #[test]
    fn a_required_backend_must_have_an_address() {
        for variables in
            [&[("REQUIRE_BACKENDS", "nats, kafka")][..], &[("REQUIRE_BACKENDS", "kafka"), ("TEST_KAFKA_BROKERS", "")]]
        {
            assert_eq!(find(Backend::Kafka, variables), Err(ConfigurationError::Missing(Backend::Kafka)));
            assert_eq!(find(Backend::Redis, variables), Ok(None));
        }
    }

    #[test]
    fn an_unknown_name_in_the_list_is_an_error() {
        assert_eq!(
            find(Backend::Postgres, &[("REQUIRE_BACKENDS", "postgresql")]),
            Err(ConfigurationError::Unknown("postgresql".to_owned()))
        );
    }

    #[test]
    fn names_and_variables_are_distinct() {
        for (index, backend) in Backend::ALL.iter().enumerate() {
            for other in &Backend::ALL[index + 1..] {
                assert_ne!(backend.name(), other.name());
                assert_ne!(backend.variable(), other.variable());
            }
        }
    }
}
