//! Containers for developers: the servers that the programs use, and telemetry. They are those of Kennel's own Compose files.

use anyhow::Context as _;

use super::infra::replaced;
use super::{Renderer, variables};
use crate::config::Config;

const COMPOSE: &str = include_str!("../../../../docker/compose.yml");
const PROBE: &str = include_str!("../../../../docker/probe.Dockerfile");
/// Stores and brokers, each with the file that has its container.
const SERVERS: [(&str, &str); 6] = [
    ("postgres", include_str!("../../../../docker/compose.postgres.yml")),
    ("mysql", include_str!("../../../../docker/compose.mysql.yml")),
    ("clickhouse", include_str!("../../../../docker/compose.clickhouse.yml")),
    ("nats", include_str!("../../../../docker/compose.nats.yml")),
    ("kafka", include_str!("../../../../docker/compose.kafka.yml")),
    ("rabbitmq", include_str!("../../../../docker/compose.rabbitmq.yml")),
];
const BROKERS: [&str; 3] = ["nats", "kafka", "rabbitmq"];
const TELEMETRY: [&str; 5] = ["otel-collector", "tempo", "loki", "prometheus", "grafana"];
/// Configurations that are the same in every project.
const CONFIGURATIONS: [(&str, &str); 3] = [
    ("infra/otel-collector/config.yaml", include_str!("../../../../infra/otel-collector/config.yaml")),
    ("infra/tempo/tempo.yaml", include_str!("../../../../infra/tempo/tempo.yaml")),
    ("infra/loki/loki.yaml", include_str!("../../../../infra/loki/loki.yaml")),
];

/// The texts that files are made from.
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    let files = SERVERS.into_iter().chain(CONFIGURATIONS).map(|(_, text)| text);
    files.chain([COMPOSE, PROBE, TRAEFIK])
}

const HEADER: &str = "\
# Servers and telemetry for the programs, which run on this machine: `make up`. A store and a broker are started by their profiles;
# variables come from .env-docker. Published ports are bound to loopback.

services:
";

const TRAEFIK: &str = "  \
traefik:
    image: traefik:v3.5.3
    command:
      - --entrypoints.web.address=:8000
      - --providers.file.filename=/etc/traefik/routes.yml
      - --ping=true
      - --log.level=WARN
      - --global.checknewversion=false
      - --global.sendanonymoususage=false
    environment:
      GOMEMLIMIT: 72MiB
    ports:
      - 127.0.0.1:8000:8000
    # The address of the programs, which run on this machine.
    extra_hosts: [\"host.docker.internal:host-gateway\"]
    healthcheck:
      test: [CMD, traefik, healthcheck, --ping=true]
      interval: 5s
      timeout: 3s
      retries: 12
    volumes:
      - ./routes.yml:/etc/traefik/routes.yml:ro,z
    restart: unless-stopped
    mem_limit: 96m
    cpus: 0.25
";

/// Renders the Compose file, and what its containers read.
pub(super) fn render(renderer: &mut Renderer<'_>, config: &Config) -> anyhow::Result<()> {
    let files = [("docker/probe.Dockerfile", PROBE.to_owned()), ("docker/routes.yml", routes(config))];
    let files = files.into_iter().chain([("docker/compose.yml", compose(config)?)]);
    for (path, text) in files.chain(CONFIGURATIONS.map(|(path, text)| (path, text.to_owned()))) {
        renderer.add(path.to_owned(), path, "", text)?;
    }
    Ok(())
}

fn compose(config: &Config) -> anyhow::Result<String> {
    let mut services = vec![TRAEFIK.to_owned()];
    for name in TELEMETRY {
        services.push(container(COMPOSE, name)?);
    }
    for (name, text) in SERVERS.iter().filter(|(name, _)| config.has_store(name) || BROKERS.contains(name)) {
        let head = format!("  {name}:\n");
        services.push(replaced(&container(text, name)?, &head, &format!("{head}    profiles: [{name}]\n"))?);
    }
    let services = replaced(&services.join("\n"), "/targets/${SCRAPE}:", "/targets:")?;
    let volumes = services.lines().filter_map(|line| line.trim().strip_prefix("- ")?.split_once("-data:/"));
    let volumes: Vec<_> = volumes.map(|(name, _)| format!("  {name}-data:\n")).collect();
    Ok(format!("{HEADER}{services}\nvolumes:\n{}", volumes.concat()))
}

/// The lines of a container, which end with an empty line or with the file.
fn container(compose: &str, name: &str) -> anyhow::Result<String> {
    let start = compose.find(&format!("\n  {name}:\n")).with_context(|| format!("no container `{name}`"))? + 1;
    let text = compose[start..].split("\n\n").next().unwrap_or_default();
    Ok(format!("{}\n", text.trim_end()))
}

const ROUTES: &str =
    "# The programs on this machine. `curl http://<application>.localhost:8000/` reaches one through Traefik.\n";

/// Where Traefik sends requests: to the program whose name is the first part of the host, on the port of `make run-<application>`.
fn routes(config: &Config) -> String {
    let (mut routers, mut services) = (Vec::new(), Vec::new());
    for (app, ports) in config.applications.iter().zip(variables::ports(config)) {
        let host = format!("Host(`{}.localhost`)", app.name);
        let grpc = format!("{host} && HeaderRegexp(`Content-Type`, `^application/grpc`)");
        for (kind, rule, port, scheme) in [("http", host, ports.rest, "http"), ("grpc", grpc, ports.grpc, "h2c")] {
            let Some(port) = port else { continue };
            let name = format!("{}-{kind}", app.name);
            let url = format!("{scheme}://host.docker.internal:{port}");
            routers.push(format!("    {name}:\n      rule: \"{rule}\"\n      service: {name}\n"));
            services.push(format!("    {name}:\n      loadBalancer:\n        servers: [{{ url: \"{url}\" }}]\n"));
        }
    }
    if routers.is_empty() {
        return format!("{ROUTES}http: {{}}\n");
    }
    format!("{ROUTES}http:\n  routers:\n{}  services:\n{}", routers.concat(), services.concat())
}
