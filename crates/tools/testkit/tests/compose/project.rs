//! The Compose file of a generated project.

use std::collections::BTreeMap;
use std::process::Command;

use crate::model::File;
use crate::rules::problems;
use crate::{BROKERS, STORES, load, root, text, variables_of, with_values};

const FOLDER: &str = "examples/shop";

fn shop() -> File {
    let text = with_values(&text(&format!("{FOLDER}/docker/compose.yml")), &variables());
    yaml_serde::from_str(&text).unwrap()
}

fn variables() -> BTreeMap<String, String> {
    variables_of(&format!("{FOLDER}/.env-docker"))
}

#[test]
fn a_project_has_the_containers_of_this_repository() {
    let shop = shop();
    assert_eq!(problems(&shop, &root().join(FOLDER).join("docker")), Vec::<String>::new());
    let mut known = load("compose.yml");
    for server in STORES.iter().chain(&BROKERS) {
        known.merge(load(&format!("compose.{server}.yml")));
        assert_eq!(shop.services[*server].profiles, [*server], "it is started by its profile");
    }
    for (name, service) in shop.services.iter().filter(|(name, _)| *name != "traefik") {
        assert_eq!(service.images(), known.services[name].images(), "{name}");
    }
    for name in ["traefik", "otel-collector", "tempo", "loki", "prometheus", "grafana"] {
        assert!(shop.services[name].profiles.is_empty(), "{name} always runs");
    }
}

/// Traefik and Prometheus refer to the ports of `make run-…`.
#[test]
fn every_program_of_a_project_is_scraped_and_reached() {
    let (routes, targets) = ("docker/routes.yml", "infra/prometheus/targets/services.yml");
    let routes: serde_json::Value = yaml_serde::from_str(&text(&format!("{FOLDER}/{routes}"))).unwrap();
    let targets: serde_json::Value = yaml_serde::from_str(&text(&format!("{FOLDER}/{targets}"))).unwrap();
    let readme = text(&format!("{FOLDER}/README.md"));
    let mut programs = 0;
    for line in readme.lines().filter(|line| line.contains("metrics and health on ")) {
        let name = line.split('`').nth(1).unwrap();
        let port = |kind: &str| Some(line.split(&format!("{kind} on ")).nth(1)?.split([',', ' ']).next()?.to_owned());
        let sys = format!("host.docker.internal:{}", port("metrics and health").unwrap());
        assert!(targets.as_array().unwrap().iter().any(|row| row["targets"][0] == sys && row["labels"]["job"] == name));
        for (kind, suffix, scheme) in [("HTTP", "http", "http"), ("gRPC", "grpc", "h2c")] {
            let server = &routes["http"]["services"][format!("{name}-{suffix}")]["loadBalancer"]["servers"][0]["url"];
            let expected = port(kind).map(|port| format!("{scheme}://host.docker.internal:{port}"));
            assert_eq!(server.as_str(), expected.as_deref(), "{name} {kind}");
        }
        programs += 1;
    }
    assert_eq!(programs, 7);
}

#[test]
fn a_command_gets_the_addresses_of_the_servers_of_a_project() {
    let script = root().join(FOLDER).join("docker/with-servers");
    let run = |arguments: &[&str]| {
        let output =
            Command::new("bash").arg(&script).args(arguments).env_clear().env("PATH", "/usr/bin:/bin").output();
        let output = output.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let variables = variables();
    for store in STORES {
        let (code, printed) = run(&[store, "nats", "env"]);
        assert_eq!(code, Some(0), "{store}");
        let prefix = store.to_uppercase();
        let dsn = printed.lines().find_map(|line| line.strip_prefix(&format!("{prefix}_DSN="))).unwrap();
        assert!(dsn.contains(&variables[&format!("{prefix}_USER")]), "{dsn}");
        let password = format!("{prefix}_PASSWORD");
        assert!(printed.contains(&format!("{password}={}\n", variables[&password])), "{printed}");
        assert!(printed.contains("BROKER=nats\n") && printed.contains(&format!("STORAGE={store}\n")), "{printed}");
        assert!(!printed.contains("GRAFANA_ADMIN_PASSWORD"), "only what the command needs: {printed}");
    }
    let (code, printed) = run(&["", "memory", "env"]);
    assert!(code == Some(0) && !printed.contains("STORAGE=") && printed.contains("OTEL_EXPORTER_OTLP_ENDPOINT="));
    assert_eq!(run(&["oracle", "nats", "env"]).0, Some(64));
}
