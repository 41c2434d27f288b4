//! Rules for every set of containers that runs together.

use std::collections::BTreeMap;
use std::path::Path;

use crate::model::{File, Service, bytes};

/// The documented ports of each server: on the host and in its container.
pub(crate) const PORTS: [(&str, &[(u16, u16)]); 24] = [
    ("dogs", &[(8080, 8080), (50051, 50051), (9090, 9090)]),
    ("gif-api", &[(8081, 8081)]),
    ("gif-storage", &[(50052, 50052)]),
    ("gif-files", &[(50053, 50053)]),
    ("market-simulator", &[]),
    ("market-data-collector", &[]),
    ("market-preprocessor", &[(50054, 50054)]),
    ("analytics-api", &[(8083, 8083), (50055, 50055)]),
    ("api-gateway", &[(8084, 8084)]),
    ("auth", &[]),
    ("traefik", &[(8000, 8000)]),
    ("grafana", &[(3000, 3000)]),
    ("prometheus", &[(9091, 9090)]),
    ("tempo", &[(3200, 3200), (9095, 9095)]),
    ("loki", &[(3100, 3100)]),
    ("otel-collector", &[(4317, 4317), (4318, 4318), (8888, 8888), (8889, 8889)]),
    ("postgres", &[(5432, 5432)]),
    ("mysql", &[(3306, 3306)]),
    ("clickhouse", &[(8123, 8123), (9000, 9000)]),
    ("redis", &[(6379, 6379)]),
    ("nats", &[(4222, 4222), (8222, 8222)]),
    ("kafka", &[(9092, 9092)]),
    ("rabbitmq", &[(5672, 5672), (15672, 15672)]),
    ("minio", &[(9002, 9000), (9003, 9001)]),
];

/// All problems of the containers of `file`, whose paths are relative to `folder`.
pub(crate) fn problems(file: &File, folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for (name, service) in &file.services {
        let found = [
            image(service),
            health(service),
            dependencies(service, file),
            mounts(service, file, folder),
            memory_file_systems(service),
            stop_grace_period(service),
            ports(name, service),
            limits(service),
        ];
        problems.extend(found.into_iter().flatten().map(|problem| format!("{name}: {problem}")));
    }
    problems.extend(shared_ports(file));
    problems
}

fn image(service: &Service) -> Vec<String> {
    let images = service.images();
    if images.is_empty() {
        return vec!["no image".to_owned()];
    }
    let own = |image: &str| image.starts_with("kennel/") && service.build.is_some();
    images
        .into_iter()
        .filter(|image| if own(image) { !image.contains(':') } else { !is_pinned(image) })
        .map(|image| format!("{image} is not pinned to a version"))
        .collect()
}

/// Whether the image has a tag with a complete version, including the patch version.
pub(crate) fn is_pinned(image: &str) -> bool {
    let Some((_, tag)) = image.rsplit_once(':') else { return false };
    let tag = tag.trim_start_matches("RELEASE.").trim_start_matches('v');
    let version = tag.split('-').next().unwrap_or_default();
    let numbers = version.split('.').filter(|number| number.parse::<u32>().is_ok()).count();
    let is_date = tag.len() >= 10 && tag.as_bytes()[4] == b'-' && numbers == 1;
    // PostgreSQL's versions have two numbers.
    numbers >= 3 || is_date || (numbers == 2 && image.starts_with("postgres:"))
}

fn health(service: &Service) -> Vec<String> {
    let Some(check) = &service.healthcheck else { return vec!["no health check".to_owned()] };
    let mut problems = Vec::new();
    let is_command = matches!(check.test.first().map(String::as_str), Some("CMD" | "CMD-SHELL"));
    if !is_command || check.test.len() < 2 {
        problems.push("the health check runs nothing".to_owned());
    }
    let durations = [Some(&check.interval), Some(&check.timeout), check.start_period.as_ref()];
    if durations.into_iter().flatten().any(|text| seconds(text).is_none_or(|seconds| seconds == 0))
        || check.retries == 0
    {
        problems.push("the health check's times are not positive seconds".to_owned());
    }
    problems
}

fn seconds(text: &str) -> Option<u32> {
    text.strip_suffix('s')?.parse().ok()
}

fn dependencies(service: &Service, file: &File) -> Vec<String> {
    let mut problems = Vec::new();
    for (server, dependency) in &service.depends_on {
        if !file.services.contains_key(server) {
            problems.push(format!("depends on {server}, which does not exist"));
        }
        if dependency.condition != "service_healthy" {
            problems.push(format!("does not wait for {server} to be healthy"));
        }
    }
    problems
}

fn mounts(service: &Service, file: &File, folder: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    for mount in &service.volumes {
        let source = mount.split(':').next().unwrap_or_default();
        let is_path = source.starts_with('.');
        if is_path && !folder.join(source).exists() {
            problems.push(format!("mounts {source}, which does not exist"));
        }
        let options = mount.rsplit(':').next().unwrap_or_default();
        if is_path && !options.split(',').any(|option| option == "ro") {
            problems.push(format!("can write to {source}"));
        }
        if is_path && !options.split(',').any(|option| option == "z") {
            problems.push(format!("cannot read {source} if SELinux requires a label"));
        }
        if !is_path && !file.volumes.contains_key(source) {
            problems.push(format!("uses the volume {source}, which is not declared"));
        }
    }
    if let Some(build) = &service.build {
        let dockerfile = folder.join(&build.context).join(&build.dockerfile);
        if !dockerfile.is_file() {
            problems.push(format!("is built from {}, which does not exist", build.dockerfile));
        }
    }
    problems
}

/// A tmpfs counts towards the memory of the container, and any user may write to it.
fn memory_file_systems(service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    for mount in &service.tmpfs {
        let (path, options) = mount.split_once(':').unwrap_or((mount, ""));
        let option = |name: &str| options.split(',').find_map(|option| option.strip_prefix(name));
        let size = option("size=").and_then(bytes);
        if size.is_none_or(|size| service.memory().is_none_or(|memory| size > memory / 4)) {
            problems.push(format!("the tmpfs at {path} may use more than a quarter of the memory"));
        }
        if option("mode=") != Some("1777") {
            problems.push(format!("not every user may write to the tmpfs at {path}"));
        }
    }
    problems
}

/// A server that stores data needs time to flush it to disk; the default grace period is ten seconds.
fn stop_grace_period(service: &Service) -> Vec<String> {
    let stores_data = service.volumes.iter().any(|mount| !mount.starts_with('.'));
    let grace = service.stop_grace_period.as_deref().and_then(seconds);
    let is_short = stores_data && grace.is_none_or(|grace| grace < 30);
    is_short.then(|| "stores data and has less than 30 s to stop".to_owned()).into_iter().collect()
}

/// The published ports of a service, and problems of their syntax.
fn published(service: &Service) -> (Vec<(u16, u16)>, Vec<String>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for port in &service.ports {
        let pair = port.strip_prefix("127.0.0.1:").and_then(|rest| rest.split_once(':'));
        match pair.and_then(|(host, inside)| Some((host.parse().ok()?, inside.parse().ok()?))) {
            Some(pair) => found.push(pair),
            None => problems.push(format!("publishes {port} to more than this machine")),
        }
    }
    (found, problems)
}

fn ports(name: &str, service: &Service) -> Vec<String> {
    let (found, mut problems) = published(service);
    let documented = PORTS.iter().find(|(server, _)| *server == name).map(|(_, ports)| *ports);
    if documented != Some(found.as_slice()) {
        problems.push(format!("publishes {found:?}, documented is {documented:?}"));
    }
    problems
}

fn shared_ports(file: &File) -> Vec<String> {
    let mut owners = BTreeMap::<u16, Vec<&str>>::new();
    for (name, service) in &file.services {
        for (port, _) in published(service).0 {
            owners.entry(port).or_default().push(name);
        }
    }
    owners.retain(|_, names| names.len() > 1);
    owners.into_iter().map(|(port, names)| format!("{} share port {port}", names.join(" and "))).collect()
}

fn limits(service: &Service) -> Vec<String> {
    let mut problems = Vec::new();
    if service.memory().is_none() {
        problems.push("no limit on memory, in m or g".to_owned());
    }
    if let Some(heap) = service.environment.get("GOMEMLIMIT") {
        let heap = heap.text().strip_suffix("MiB").and_then(|mebibytes| mebibytes.parse::<u64>().ok());
        let limit = service.memory().unwrap_or_default() >> 20;
        // A Go program also uses memory that its garbage collector does not count.
        if heap.is_none_or(|heap| heap > limit * 5 / 6) {
            problems.push("GOMEMLIMIT is more than five sixths of the memory".to_owned());
        }
    }
    if service.cpus.is_none_or(|cpus| cpus <= 0.0) {
        problems.push("no limit on the CPU".to_owned());
    }
    if service.restart.is_none() {
        problems.push("does not restart after a crash".to_owned());
    }
    problems
}
