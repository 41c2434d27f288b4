//! The settings that all services have, of what they use.

use kennel_app::ShutdownConfig;
use kennel_auth::AuthConfig;
use kennel_broker::BrokerConfig;
use kennel_cache::CacheConfig;
use kennel_config::{Problems, Reader, Settings};
use kennel_grpc::GrpcConfig;
use kennel_http::{HttpConfig, SysConfig};
use kennel_live::LiveConfig;
use kennel_net::{ServerConfig, TlsConfig};
use kennel_objects::ObjectsConfig;
use kennel_outbox::OutboxConfig;
use kennel_storage::StorageConfig;
use kennel_telemetry::otel::SDK_VARIABLES;
use kennel_telemetry::{OtelConfig, TelemetryConfig};

use crate::{Service, Uses};

/// The settings of a process, which its services share.
#[derive(Debug, Clone)]
pub struct ProcessSettings {
    /// The limits that all servers share.
    pub server: ServerConfig,
    /// The graceful stop.
    pub shutdown: ShutdownConfig,
    /// The server of metrics, health and profiles.
    pub sys: SysConfig,
    /// Logs and traces.
    pub telemetry: TelemetryConfig,
    /// The export of logs and traces.
    pub otel: OtelConfig,
}

impl Settings for ProcessSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        let server: ServerConfig = reader.section();
        let settings = Self {
            sys: SysConfig { server: server.clone(), ..reader.section() },
            server,
            shutdown: reader.section(),
            telemetry: reader.section(),
            otel: reader.section(),
        };
        reader.warn_about_unread("OTEL_", &SDK_VARIABLES, "not supported, without effect");
        settings
    }
}

impl ProcessSettings {
    /// The URL of the metrics for people on this machine; `None` if their server listens on no loopback address.
    pub fn metrics_url(&self) -> Option<String> {
        let local = self.server.server_host.is_loopback() && self.sys.prometheus_port != 0;
        local.then(|| format!("http://localhost:{}/metrics", self.sys.prometheus_port))
    }
}

/// The settings of a service's standard dependencies and servers. Those of what it does not use have their defaults.
#[derive(Debug, Clone, Default)]
pub struct StandardSettings {
    /// The HTTP server.
    pub http: HttpConfig,
    /// The gRPC server.
    pub grpc: GrpcConfig,
    /// The certificate of both.
    pub tls: TlsConfig,
    /// Who may call the servers.
    pub auth: AuthConfig,
    /// The store.
    pub storage: StorageConfig,
    /// The broker of events.
    pub broker: BrokerConfig,
    /// Publishing, consumption and retention of events.
    pub outbox: OutboxConfig,
    /// The cache.
    pub cache: CacheConfig,
    /// The object store.
    pub objects: ObjectsConfig,
    /// The source of the settings that change while the process runs.
    pub live: LiveConfig,
}

/// The settings of a service.
pub struct ServiceSettings<S: Service> {
    /// Those of its standard dependencies and servers.
    pub standard: StandardSettings,
    /// Its own.
    pub own: S::Config,
}

impl<S: Service> Settings for ServiceSettings<S> {
    fn read(reader: &mut Reader<'_>) -> Self {
        let mut standard = StandardSettings::default();
        if S::USES.includes(Uses::HTTP) {
            standard.http = reader.section_with(&[("server_port", S::HTTP_PORT.into())]);
        }
        if S::USES.includes(Uses::GRPC) {
            let grpc = reader.section_with(&[("grpc_port", S::GRPC_PORT.into())]);
            standard.grpc = GrpcConfig { domain: S::NAME, ..grpc };
        }
        if S::USES.includes(Uses::HTTP) || S::USES.includes(Uses::GRPC) {
            standard.tls = reader.section();
            standard.http.has_tls = standard.tls.is_enabled();
            standard.auth = reader.section();
        }
        if S::USES.includes(Uses::STORAGE) {
            standard.storage = reader.section();
        }
        if S::USES.includes(Uses::BROKER) {
            standard.broker = BrokerConfig::read(reader, &S::events().kafka_topics());
            standard.outbox = reader.section();
        }
        if S::USES.includes(Uses::CACHE) {
            standard.cache = reader.section();
        }
        if S::USES.includes(Uses::OBJECTS) {
            standard.objects = reader.section();
        }
        if S::USES.includes(Uses::LIVE) {
            standard.live = reader.section();
        }
        Self { standard, own: S::Config::read(reader) }
    }

    fn check(&self, problems: &mut Problems) {
        self.own.check(problems);
        S::check(&self.standard, &self.own, problems);
    }
}

/// The settings of a process with one service.
pub struct ProgramSettings<S: Service> {
    /// Those of the process.
    pub process: ProcessSettings,
    /// Those of the service.
    pub service: ServiceSettings<S>,
}

impl<S: Service> Settings for ProgramSettings<S> {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self { process: ProcessSettings::read(reader), service: ServiceSettings::read(reader) }
    }

    fn check(&self, problems: &mut Problems) {
        self.process.check(problems);
        self.service.check(problems);
    }
}
