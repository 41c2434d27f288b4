//! Checks the charts of `infra/helm` with Helm, and what they render with the schemas of Kubernetes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use kennel_testkit::Backend;
use serde::Deserialize as _;
use yaml_serde::Value;

/// The oldest and the newest version of Kubernetes.
const KUBERNETES: [&str; 2] = ["1.27.0", "1.36.0"];

const TEMPLATE: [&str; 4] = ["template", "release", "--kube-version", KUBERNETES[1]];

struct Chart {
    helm: String,
    folder: PathBuf,
    values: tempfile::TempDir,
}

impl Chart {
    /// The chart of the GIF pipeline; `None` without Helm.
    fn gifs() -> Option<Self> {
        let helm = Backend::Helm.address()?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../infra/helm/gifs");
        Some(Self { helm, folder, values: tempfile::tempdir().unwrap() })
    }

    /// Runs a command of Helm on the chart with these values, from a file: numbers from files are other types than those
    /// of the command line.
    fn run(&self, command: &[&str], values: &str) -> Output {
        let file = self.values.path().join("values.yaml");
        fs::write(&file, values).unwrap();
        let mut helm = Command::new(&self.helm);
        helm.args(command).arg(&self.folder).arg("--values").arg(file);
        // No repository is asked and no configuration is read.
        helm.env("HELM_CONFIG_HOME", self.values.path()).env("HELM_CACHE_HOME", self.values.path()).output().unwrap()
    }

    /// The rendered manifests; fails the test if Helm finds fault with the chart.
    fn render(&self, values: &str) -> String {
        let linted = self.run(&["lint", "--strict"], values);
        assert!(linted.status.success(), "{values}: {}", text(&linted));
        let rendered = self.run(&TEMPLATE, values);
        assert!(rendered.status.success(), "{values}: {}", text(&rendered));
        String::from_utf8(rendered.stdout).unwrap()
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn documents(rendered: &str) -> Vec<Value> {
    let documents = yaml_serde::Deserializer::from_str(rendered).map(|document| Value::deserialize(document).unwrap());
    documents.filter(|document| !document.is_null()).collect()
}

fn at<'a>(value: &'a Value, path: &[&str]) -> &'a Value {
    path.iter().fold(value, |value, key| &value[*key])
}

/// Validates the manifests with the schemas of Kubernetes.
fn validate(rendered: &str) {
    let validator = std::env::var("TEST_KUBERNETES_VALIDATE").expect("it comes with TEST_HELM");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rendered.yaml");
    fs::write(&file, rendered).unwrap();
    for version in KUBERNETES {
        let output = Command::new(&validator).args(["--strict", "-k", version]).arg(&file).output().unwrap();
        assert!(output.status.success(), "Kubernetes {version}: {}\n{rendered}", text(&output));
    }
}

#[test]
fn the_chart_renders_for_every_store_and_broker() {
    let Some(chart) = Chart::gifs() else { return };
    for store in ["postgres", "mysql", "clickhouse"] {
        for broker in ["kafka", "nats", "rabbitmq"] {
            let rendered = chart.render(&format!("{{store: {store}, broker: {broker}}}"));
            let names = [format!("{}_DSN", store.to_uppercase()), broker_variable(broker).to_owned()];
            for name in names {
                assert_eq!(rendered.matches(&format!("- name: {name}\n")).count(), 2, "{name}: {rendered}");
            }
            if store == "postgres" || broker == "kafka" {
                validate(&rendered);
            }
        }
    }
}

fn broker_variable(broker: &str) -> &str {
    match broker {
        "kafka" => "KAFKA_BROKERS",
        "nats" => "NATS_URL",
        _ => "RABBITMQ_URL",
    }
}

#[test]
fn everything_that_is_optional_renders() {
    let Some(chart) = Chart::gifs() else { return };
    let all = "
image: {repository: registry.example/kennel, tag: \"1.0\", pullSecrets: [registry]}
secrets: {redis: {name: gifs-redis}, providers: {name: gifs-providers, giphyKey: giphy, klipyKey: klipy}}
otlpEndpoint: http://collector:4317
api: {replicas: 3, env: {SEARCH_FRESH: 5m, MAX_IN_FLIGHT: \"1000000\"}}
storage: {replicas: 1, providers: \"giphy,klipy,local\"}
files: {replicas: 1000, allowPrivateDownloads: false, env: {GIF_LIMIT: 32MiB}}
ingress: {enabled: true, className: nginx, host: gifs.example.org, tlsSecret: gifs-tls}
scrapeAnnotations: false";
    let rendered = chart.render(all);
    validate(&rendered);
    let documents = documents(&rendered);
    let kinds: Vec<_> = documents.iter().map(|document| document["kind"].as_str().unwrap()).collect();
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!((count("Deployment"), count("Service"), count("Ingress")), (3, 3, 1));
    assert_eq!(count("PodDisruptionBudget"), 2, "one replica may not be disrupted otherwise");
    for expected in
        ["registry.example/kennel/gif-files:1.0", "value: \"1000000\"", "value: \"false\"", "replicas: 1000"]
    {
        assert!(rendered.contains(expected), "{expected}: {rendered}");
    }
}

#[test]
fn secrets_are_only_referred_to_and_pods_are_restricted() {
    let Some(chart) = Chart::gifs() else { return };
    let rendered = chart.render("secrets: {redis: {name: gifs-redis}, providers: {name: keys, giphyKey: giphy}}");
    let documents = documents(&rendered);
    assert!(documents.iter().all(|document| document["kind"] != "Secret"));
    let mut referred = BTreeSet::new();
    let deployments: Vec<_> = documents.iter().filter(|document| document["kind"] == "Deployment").collect();
    assert_eq!(deployments.len(), 3);
    for deployment in deployments {
        let pod = at(deployment, &["spec", "template", "spec"]);
        assert_eq!((&pod["enableServiceLinks"], &pod["automountServiceAccountToken"]), (&false.into(), &false.into()));
        let container = &pod["containers"][0];
        assert_eq!(at(container, &["securityContext", "readOnlyRootFilesystem"]), &Value::from(true));
        for variable in container["env"].as_sequence().unwrap() {
            let name = variable["name"].as_str().unwrap();
            let is_secret = ["_DSN", "_URL", "_PASSWORD", "_SECRET", "_API_KEY", "S3_STORAGE_KEY"]
                .iter()
                .any(|ending| name.ends_with(ending) && !name.ends_with("GRPC_URL") && name != "PUBLIC_URL");
            assert_eq!(variable.get("value").is_none(), is_secret, "{name}");
            if is_secret {
                let reference = at(variable, &["valueFrom", "secretKeyRef"]);
                referred.insert((reference["name"].as_str().unwrap().to_owned(), name.to_owned()));
            }
        }
    }
    let expected = [
        ("gifs-redis", "REDIS_PASSWORD"),
        ("gifs-s3", "S3_STORAGE_KEY"),
        ("gifs-s3", "S3_STORAGE_SECRET"),
        ("gifs-store", "POSTGRES_DSN"),
        ("keys", "GIPHY_API_KEY"),
    ];
    assert_eq!(referred, expected.map(|(secret, name)| (secret.to_owned(), name.to_owned())).into());
}

#[test]
fn mistakes_are_refused() {
    let Some(chart) = Chart::gifs() else { return };
    for mistake in [
        "store: oracle",
        "broker: memory",
        "replicas: 3",
        "api: {replicas: 0}",
        "api: {replicas: two}",
        "api: {env: {MAX_IN_FLIGHT: 1000}}",
        "s3: {endpoint: minio}",
        "secrets: {store: {name: \"\"}}",
        "secrets: {store: {dsn: \"postgres://user:password@host\"}}",
        "publicUrl: \"\"",
    ] {
        let output = chart.run(&TEMPLATE, mistake);
        let text = text(&output);
        assert!(
            !output.status.success() && text.contains("don't meet the specifications of the schema"),
            "{mistake}: {text}"
        );
    }
    let output = chart.run(&TEMPLATE, "storage: {providers: giphy}");
    assert!(!output.status.success() && text(&output).contains("allowPrivateDownloads"), "{}", text(&output));
}
