//! The ports of a process: each belongs to one server, and who may call it is decided.

use std::collections::BTreeMap;
use std::net::IpAddr;

use kennel_auth::Mode;
use kennel_config::Problems;

use crate::scope::Scope;
use crate::settings::StandardSettings;
use crate::{Service, Uses};

/// The ports on which a service listens.
#[derive(Debug, Clone)]
pub(crate) struct Ports {
    /// By the keys of their settings.
    list: Vec<(&'static str, u16)>,
    /// How callers authenticate, if that is set.
    auth: Option<Mode>,
}

impl Ports {
    pub(crate) fn of<S: Service>(settings: &StandardSettings) -> Self {
        let (http, grpc) = (settings.http.server_port, settings.grpc.grpc_port);
        let ports = [(Uses::HTTP, "server_port", http), (Uses::GRPC, "grpc_port", grpc)];
        let used = ports.into_iter().filter(|(uses, ..)| S::USES.includes(*uses));
        Self { list: used.map(|(_, key, port)| (key, port)).collect(), auth: settings.auth.auth }
    }
}

/// Adds a problem for every service that others could call without authentication, unless that was chosen.
pub(crate) fn check_exposure(host: IpAddr, services: &[(Scope, Ports)], problems: &mut Problems) {
    for (scope, ports) in services {
        if !host.is_loopback() && !ports.list.is_empty() && ports.auth.is_none() {
            let must = format!("must be set when SERVER_HOST is {host}: jwt, api-key, or none to let everyone in");
            problems.add(&scope.key("auth"), must);
        }
    }
}

/// Adds a problem for every port that two servers have; 0 selects any free port.
pub(crate) fn check_ports(sys_port: u16, services: &[(Scope, Ports)], problems: &mut Problems) {
    let mut users = BTreeMap::from([(sys_port, "PROMETHEUS_PORT".to_owned())]);
    for (scope, ports) in services {
        for &(key, port) in ports.list.iter().filter(|(_, port)| *port != 0) {
            let key = scope.key(key);
            if let Some(other) = users.insert(port, key.to_ascii_uppercase()) {
                problems.add(&key, format!("must not be {port}, which is {other}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_authentication_has_to_be_chosen_for_other_addresses_than_loopback() {
        let problems = |host: &str, ports: &[(&'static str, u16)], auth| {
            let mut problems = Problems::default();
            let ports = Ports { list: ports.to_vec(), auth };
            check_exposure(host.parse().unwrap(), &[(Scope(Some("gif-api")), ports)], &mut problems);
            problems.into_result().err().map(|errors| errors.to_string())
        };
        let http = [("server_port", 8080)];
        for host in ["127.0.0.1", "127.0.0.2", "::1"] {
            assert_eq!(problems(host, &http, None), None, "{host}");
        }
        for host in ["0.0.0.0", "::", "10.0.0.1"] {
            let expected = format!(
                "GIF_API_AUTH (not set): must be set when SERVER_HOST is {host}: jwt, api-key, or none to let everyone in"
            );
            assert_eq!(problems(host, &http, None), Some(expected));
            assert_eq!(problems(host, &http, Some(Mode::None)), None);
            assert_eq!(problems(host, &http, Some(Mode::Jwt)), None);
            assert_eq!(problems(host, &[], None), None, "nothing to call");
        }
    }
}
