//! The ports of a process: each belongs to one server.

use std::collections::BTreeMap;

use kennel_config::Problems;

use crate::scope::Scope;
use crate::settings::StandardSettings;
use crate::{Service, Uses};

/// The ports on which a service listens, by the keys of their settings.
#[derive(Debug, Clone)]
pub(crate) struct Ports(Vec<(&'static str, u16)>);

impl Ports {
    pub(crate) fn of<S: Service>(settings: &StandardSettings) -> Self {
        let (http, grpc) = (settings.http.server_port, settings.grpc.grpc_port);
        let ports = [(Uses::HTTP, "server_port", http), (Uses::GRPC, "grpc_port", grpc)];
        Self(ports.into_iter().filter(|(uses, ..)| S::USES.includes(*uses)).map(|(_, key, port)| (key, port)).collect())
    }
}

/// Adds a problem for every port that two servers have; 0 selects any free port.
pub(crate) fn check_ports(sys_port: u16, services: &[(Scope, Ports)], problems: &mut Problems) {
    let mut users = BTreeMap::from([(sys_port, "PROMETHEUS_PORT".to_owned())]);
    for (scope, ports) in services {
        for &(key, port) in ports.0.iter().filter(|(_, port)| *port != 0) {
            let key = scope.key(key);
            if let Some(other) = users.insert(port, key.to_ascii_uppercase()) {
                problems.add(&key, format!("must not be {port}, which is {other}"));
            }
        }
    }
}
