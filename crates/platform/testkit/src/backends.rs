//! Which real servers there are to test against.
//!
//! `TEST_<NAME>` variables name them. One that is not there is skipped aloud, unless `REQUIRE_BACKENDS` lists it.

/// How a line begins by which a test says that it did not test.
pub const SKIPPED: &str = "skipped: ";

/// Says aloud that the test that runs does not test, and why. Such tests are counted apart from those that passed.
pub fn skip(reason: &str) {
    eprintln!("{SKIPPED}{reason}");
}

/// A server that tests can be run against.
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
    /// A NATS of the newest version, by `TEST_NATS_CURRENT_URL`; the other may be years older.
    NatsCurrent,
    /// Kafka, by `TEST_KAFKA_BROKERS`.
    Kafka,
    /// A Kafka that asks who one is, by `TEST_KAFKA_SASL_BROKERS`.
    KafkaSasl,
    /// RabbitMQ, by `TEST_RABBITMQ_URL`.
    RabbitMq,
    /// S3 or a server that speaks it, by `TEST_S3_ENDPOINT`.
    S3,
    /// Prometheus, by `TEST_PROMETHEUS`: the path of the program, which has `promtool` beside it. Tests start their own.
    Prometheus,
    /// Chromium, by `TEST_CHROMIUM`: the path of the program. Tests start their own, from Node.
    Chromium,
    /// Servers that a test starts, restarts and wipes itself, by `TEST_SERVER_PROGRAM`: the path of `.ci/services`.
    PrivateServers,
    /// libfaketime, by `TEST_FAKETIME`: the path of the library. Tests start programs with it, whose clocks are wrong.
    Faketime,
    /// Nginx, by `TEST_NGINX`: the path of the program. Tests start their own in front of the service.
    Nginx,
    /// schemathesis, by `TEST_SCHEMATHESIS`: the path of the program. Tests start it against their own service.
    Schemathesis,
}

/// Why the tests of a backend cannot go on.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    Missing(Backend),
    Unknown(String),
}

impl Backend {
    /// Every backend.
    pub const ALL: [Self; 17] = [
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
    ];

    /// Its name in `REQUIRE_BACKENDS`.
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
        }
    }

    /// The variable that says where it is.
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
        }
    }

    /// Where the server is. `None`, said aloud, when there is none.
    ///
    /// # Panics
    /// When there is none and `REQUIRE_BACKENDS` lists it, or when that lists a name that is no backend's.
    pub fn address(self) -> Option<String> {
        match self.find(|name| std::env::var(name).ok()) {
            Ok(Some(address)) => Some(address),
            Ok(None) => {
                skip(&format!("{} is not set, so nothing is tested against {}", self.variable(), self.name()));
                None
            }
            Err(Fault::Missing(_)) => {
                panic!("REQUIRE_BACKENDS lists {}, but {} is not set", self.name(), self.variable())
            }
            Err(Fault::Unknown(name)) => panic!("REQUIRE_BACKENDS lists `{name}`, which is no backend"),
        }
    }

    fn find(self, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, Fault> {
        let required = variable("REQUIRE_BACKENDS").unwrap_or_default();
        let required: Vec<_> = required.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = required.iter().find(|name| !Self::ALL.iter().any(|backend| backend.name() == **name)) {
            return Err(Fault::Unknown((*unknown).to_owned()));
        }
        let address = variable(self.variable()).filter(|address| !address.is_empty());
        if address.is_none() && required.contains(&self.name()) {
            return Err(Fault::Missing(self));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(backend: Backend, variables: &[(&str, &str)]) -> Result<Option<String>, Fault> {
        backend.find(|name| variables.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn a_backend_that_is_there_is_used() {
        let variables = [("TEST_NATS_URL", "nats://localhost"), ("REQUIRE_BACKENDS", "nats")];
        assert_eq!(find(Backend::Nats, &variables), Ok(Some("nats://localhost".to_owned())));
        assert_eq!(find(Backend::Kafka, &variables), Ok(None));
    }

    #[test]
    fn a_backend_that_is_required_must_be_there() {
        for variables in
            [&[("REQUIRE_BACKENDS", "nats, kafka")][..], &[("REQUIRE_BACKENDS", "kafka"), ("TEST_KAFKA_BROKERS", "")]]
        {
            assert_eq!(find(Backend::Kafka, variables), Err(Fault::Missing(Backend::Kafka)));
            assert_eq!(find(Backend::Redis, variables), Ok(None));
        }
    }

    #[test]
    fn a_slip_in_the_list_does_not_pass_for_nothing_required() {
        assert_eq!(
            find(Backend::Postgres, &[("REQUIRE_BACKENDS", "postgresql")]),
            Err(Fault::Unknown("postgresql".to_owned()))
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
