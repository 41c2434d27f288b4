//! Background work and drivers.

use super::Problems;
use super::names::{check_module, is_below, is_foreign, is_own, is_reserved};
use super::references::names;
use crate::config::{Config, DriverKind, WorkerKind};
use crate::yaml::Node;

/// The entries of `worker`, and the names of consumers, whose modules are in the same crate.
pub(super) fn workers(root: &Node, config: &Config, problems: &mut Problems) {
    for (name, node) in names(root, "kafka").into_iter().chain(names(root, "worker")) {
        if is_foreign(name) || is_own(name, &config.main.name) {
            problems.add::<()>(node.position, format!("`{name}` is the name of a crate that the generated code uses"));
        } else if is_reserved(name) || ["lib", "str"].contains(&name) {
            problems.add::<()>(node.position, format!("`{name}` has another meaning in the generated code"));
        }
    }
    for (worker, node) in config.worker.iter().zip(root.get("worker").map(Node::elements).unwrap_or_default()) {
        let at = |key: &str| node.get(key).map_or(node.position, |node| node.position);
        let kind = worker.generator_type;
        match &worker.path {
            None if kind == WorkerKind::Queue => {
                problems.add::<()>(node.position, "`path` is missing: the file of the tasks");
            }
            Some(_) if kind != WorkerKind::Queue => {
                problems.add::<()>(at("path"), "only a `queue` has a file of tasks");
            }
            Some(path) if !is_below(path) => {
                problems.add::<()>(at("path"), "must be a path below the folder of kennel.yaml");
            }
            _ => {}
        }
        if matches!(kind, WorkerKind::Queue | WorkerKind::Telegram) {
            // They are fields, and a queue is also a module of the domain.
            check_module(&worker.name, node, config, problems);
            if node.get("interval").is_some() {
                problems.add::<()>(at("interval"), "only a `schedule` and a `daemon` have an interval");
            }
        }
        let users = config.applications.iter().filter(|app| app.worker.contains(&worker.name)).count();
        if kind == WorkerKind::Telegram && users > 1 {
            problems.add::<()>(at("name"), "only one application can run a bot");
        }
    }
}

/// The entries of `driver`.
pub(super) fn drivers(root: &Node, config: &Config, problems: &mut Problems) {
    for (driver, node) in config.driver.iter().zip(root.get("driver").map(Node::elements).unwrap_or_default()) {
        check_module(&driver.name, node, config, problems);
    }
    for (app, node) in config.applications.iter().zip(root.get("applications").map(Node::elements).unwrap_or_default())
    {
        let stores = config.drivers_of(app).filter(|driver| driver.generator_type == DriverKind::S3).count();
        let position = node.get("driver").unwrap_or(node).position;
        if stores > 1 {
            problems.add::<()>(position, "an application has one object store");
        }
        let has_custom = config.drivers_of(app).any(|driver| driver.generator_type == DriverKind::Custom);
        if app.cli.is_some() && has_custom {
            problems.add::<()>(position, "a command line has no `custom` driver: nothing would connect it");
        }
    }
}
