//! Checks the charts of `infra/helm` and of the generated project with Helm, and what they render with the schemas of Kubernetes.

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
        Self::of("gifs")
    }

    /// The chart of the market analytics; `None` without Helm.
    fn market() -> Option<Self> {
        Self::of("market")
    }

    /// The chart of the generated project; `None` without Helm.
    fn shop() -> Option<Self> {
        Self::at("examples/shop/infra/helm/shop")
    }

    fn of(name: &str) -> Option<Self> {
        Self::at(&format!("infra/helm/{name}"))
    }

    fn at(path: &str) -> Option<Self> {
        let helm = Backend::Helm.address()?;
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join(path);
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

/// The containers of a chart, by their names.
fn containers(documents: &[Value]) -> Vec<(&str, &Value)> {
    let deployments = documents.iter().filter(|document| document["kind"] == "Deployment");
    let containers = deployments.map(|deployment| &at(deployment, &["spec", "template", "spec"])["containers"][0]);
    containers.map(|container| (container["name"].as_str().unwrap(), container)).collect()
}

#[test]
fn the_market_analytics_render_for_every_store_and_broker() {
    let Some(chart) = Chart::market() else { return };
    for store in ["postgres", "mysql", "clickhouse"] {
        for broker in ["kafka", "nats", "rabbitmq"] {
            let rendered = chart.render(&format!("{{store: {store}, broker: {broker}}}"));
            let count = |name: &str| rendered.matches(&format!("- name: {name}\n")).count();
            let (stores, of_auth) = (count(&format!("{}_DSN", store.to_uppercase())), usize::from(store == "postgres"));
            assert_eq!((stores - of_auth, count(broker_variable(broker)), count("TOKEN_SECRET")), (1, 3, 1));
            if store == "postgres" || broker == "kafka" {
                validate(&rendered);
            }
        }
    }
    let everything = "
broker: nats
image: {repository: registry.example/kennel, tag: \"1.0\", pullSecrets: [registry]}
secrets: {redis: {name: market-redis}}
otlpEndpoint: http://collector:4317
collector: {replicas: 2, symbols: {binance: [BTC-USDT], kraken: []}, env: {TRADE_VERSIONS: both}}
preprocessor: {replicas: 1, auditInterval: 0s}
tokens: {store: mysql, issuer: \"https://market.example.org\", env: {SESSION_MAX: 24h}}
gateway: {replicas: 3}
ingress: {enabled: true, className: nginx, host: market.example.org, tlsSecret: market-tls, trustedHops: 2}
scrapeAnnotations: false";
    let rendered = chart.render(everything);
    validate(&rendered);
    for expected in [
        "registry.example/kennel/analytics-api:1.0",
        "value: \"BTC-USDT\"",
        "value: \"both\"",
        "value: \"https://market.example.org\"",
        "name: GATEWAY_TRUSTED_HOPS\n              value: \"2\"",
        "name: TRUSTED_PROXIES\n              value: \"3\"",
        "name: MYSQL_DSN",
    ] {
        assert!(rendered.contains(expected), "{expected}: {rendered}");
    }
    assert!(!rendered.contains("KRAKEN_SYMBOLS"), "a venue without symbols is not connected to");
}

#[test]
fn secrets_of_the_market_analytics_are_variables_files_or_created_by_an_operator() {
    let Some(chart) = Chart::market() else { return };
    let rendered = chart.render("{secrets: {from: files, redis: {name: market-redis}}, broker: rabbitmq}");
    validate(&rendered);
    let files = documents(&rendered);
    assert!(files.iter().all(|document| document["kind"] != "Secret"));
    let mut found = BTreeSet::new();
    for (name, container) in containers(&files) {
        let variables = container["env"].as_sequence().unwrap();
        assert!(variables.iter().all(|variable| variable.get("valueFrom").is_none()), "{name}");
        let mounts = container["volumeMounts"].as_sequence().unwrap();
        for variable in variables {
            let value = variable["value"].as_str().unwrap();
            let Some((folder, _)) = value.strip_prefix("/secrets/").and_then(|path| path.split_once('/')) else {
                continue;
            };
            assert!(mounts.iter().any(|mount| mount["mountPath"] == format!("/secrets/{folder}")), "{name}: {value}");
            found.insert((name.to_owned(), variable["name"].as_str().unwrap().to_owned()));
        }
    }
    let expected = [
        ("analytics-api", "RABBITMQ_URL_FILE"),
        ("analytics-api", "REDIS_PASSWORD_FILE"),
        ("api-gateway", "REDIS_PASSWORD_FILE"),
        ("auth", "POSTGRES_DSN_FILE"),
        ("auth", "REDIS_PASSWORD_FILE"),
        ("auth", "TOKEN_SECRET_FILE"),
        ("market-data-collector", "RABBITMQ_URL_FILE"),
        ("market-preprocessor", "POSTGRES_DSN_FILE"),
        ("market-preprocessor", "RABBITMQ_URL_FILE"),
        ("market-preprocessor", "REDIS_PASSWORD_FILE"),
    ];
    assert_eq!(found, expected.map(|(service, name)| (service.to_owned(), name.to_owned())).into());

    let operator = chart.render("{externalSecrets: {enabled: true}, broker: nats}");
    let operator = documents(&operator);
    let created = operator.iter().filter(|document| document["kind"] == "ExternalSecret");
    let created: BTreeSet<_> =
        created.map(|secret| at(secret, &["spec", "target", "name"]).as_str().unwrap().to_owned()).collect();
    assert_eq!(created, ["market-accounts", "market-broker", "market-store"].map(str::to_owned).into());
    assert_eq!(containers(&operator).len(), 5);
}

#[test]
fn mistakes_in_the_values_of_the_market_analytics_are_refused() {
    let Some(chart) = Chart::market() else { return };
    for mistake in [
        "store: sqlite",
        "secrets: {from: vault}",
        "secrets: {store: {dsn: \"postgres://user:password@host\"}}",
        "collector: {symbols: {kraken: [btc]}}",
        "collector: {symbols: {mtgox: [BTC-USD]}}",
        "preprocessor: {auditInterval: 5}",
        "kafka: {partitions: 0}",
        "tokens: {store: clickhouse}",
        "tokens: {issuer: market}",
        "secrets: {accounts: {token: hunter2}}",
        "externalSecrets: {storeKind: Vault}",
    ] {
        let output = chart.run(&TEMPLATE, mistake);
        let text = text(&output);
        assert!(
            !output.status.success() && text.contains("don't meet the specifications of the schema"),
            "{mistake}: {text}"
        );
    }
}

#[test]
fn a_generated_chart_renders_for_every_store_and_broker() {
    let Some(chart) = Chart::shop() else { return };
    for store in ["postgres", "mysql", "clickhouse"] {
        for broker in ["kafka", "nats", "rabbitmq"] {
            let rendered = chart.render(&format!("{{store: {store}, broker: {broker}}}"));
            let count = |name: &str| rendered.matches(&format!("- name: {name}\n")).count();
            assert_eq!((count(&format!("{}_DSN", store.to_uppercase())), count(broker_variable(broker))), (7, 7));
            if store == "postgres" || broker == "kafka" {
                validate(&rendered);
            }
        }
    }
    let everything = "
image: {repository: registry.example/shop, tag: \"1.0\", pullSecrets: [registry]}
kafka: {brokers: \"kafka:9092\", partitions: 1000000}
secrets: {from: files}
otlpEndpoint: http://collector:4317
clients: {payments: \"https://payments.example.org\", catalog: \"http://catalog:50051\"}
apps: {shop-web: {replicas: 3, env: {MAX_IN_FLIGHT: \"1000000\"}}, shop-background: {replicas: 1}}
ingress: {className: nginx, tlsSecret: shop-tls, hosts: {shop-web: shop.example.org, shop-orders: orders.example.org}}
scrapeAnnotations: false";
    let rendered = chart.render(everything);
    validate(&rendered);
    let documents = documents(&rendered);
    let count = |kind: &str| documents.iter().filter(|document| document["kind"] == kind).count();
    // A program without a server has no service, a command line is not deployed, and one replica may not be disrupted otherwise.
    assert_eq!((count("Deployment"), count("Service"), count("PodDisruptionBudget"), count("Ingress")), (7, 5, 5, 2));
    for expected in [
        "registry.example/shop/shop-web:1.0",
        "value: \"https://payments.example.org\"",
        "value: \"/secrets/shop-payments/credential\"",
        "value: \"/secrets/shop-support-bot/token\"",
        "name: KAFKA_PARTITIONS\n              value: \"1000000\"",
        "host: \"orders.example.org\"",
    ] {
        assert!(rendered.contains(expected), "{expected}: {rendered}");
    }
}

#[test]
fn a_generated_chart_only_refers_to_secrets() {
    let Some(chart) = Chart::shop() else { return };
    let rendered = documents(&chart.render("{broker: nats}"));
    assert!(rendered.iter().all(|document| document["kind"] != "Secret"));
    let mut referred = BTreeSet::new();
    for (name, container) in containers(&rendered) {
        for variable in container["env"].as_sequence().unwrap().iter().filter(|variable| variable["value"].is_null()) {
            let reference = at(variable, &["valueFrom", "secretKeyRef"]);
            referred.insert((name, reference["name"].as_str().unwrap(), variable["name"].as_str().unwrap()));
        }
    }
    let others = [
        ("shop-orders", "shop-payments", "PAYMENTS_API_CREDENTIAL"),
        ("shop-bot", "shop-support-bot", "SUPPORT_BOT_TELEGRAM_TOKEN"),
        ("shop-bot", "shop-alerts", "ALERTS_TELEGRAM_TOKEN"),
        ("shop-bot", "shop-s3", "S3_STORAGE_KEY"),
        ("shop-bot", "shop-s3", "S3_STORAGE_SECRET"),
    ];
    assert_eq!(referred.len(), 7 * 2 + others.len(), "{referred:?}");
    assert!(others.iter().all(|other| referred.contains(other)), "{referred:?}");
}

#[test]
fn mistakes_in_the_values_of_a_generated_chart_are_refused() {
    let Some(chart) = Chart::shop() else { return };
    for mistake in [
        "store: sqlite",
        "broker: memory",
        "secrets: {store: {dsn: \"postgres://user:password@host\"}}",
        "secrets: {from: vault}",
        "apps: {shop-wbe: {replicas: 1}}",
        "apps: {shop-web: {replicas: 0}}",
        "apps: {shop-web: {env: {MAX_IN_FLIGHT: 1000}}}",
        "clients: {payments: payments}",
        "secrets: {telegram-alerts: {token: \"1:secret\"}}",
        "s3: {endpoint: minio}",
        "ingress: {hosts: {shop-rpc: shop.example.org}}",
    ] {
        let output = chart.run(&TEMPLATE, mistake);
        let text = text(&output);
        assert!(
            !output.status.success() && text.contains("don't meet the specifications of the schema"),
            "{mistake}: {text}"
        );
    }
}
