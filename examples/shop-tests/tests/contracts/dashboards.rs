//! The generated dashboards and alerts, with the programs that they are for and a real Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use kennel_telegram::mock::FakeBotApi;
use kennel_testkit::Backend;
use kennel_testkit::process::{Launch, ServiceProcess};
use kennel_testkit::prometheus::Prometheus;
use serde_json::{Value, json};
use shop_proto::billing::v1::CreateInvoiceRequest;
use shop_proto::billing::v1::billing_service_client::BillingServiceClient;
use shop_proto::v1::item_service_client::ItemServiceClient;
use shop_proto::v1::{CreateItemRequest, ListItemsRequest};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const PROGRAMS: [&str; 7] =
    ["shop", "shop-web", "shop-rpc", "shop-orders", "shop-billing", "shop-bot", "shop-background"];

/// Panels without data, by the program, the start of the title, and why. One that returns data must be removed.
const EMPTY: [(&str, &str, &str); 6] = [
    ("shop-orders", "Upstream", UNIMPLEMENTED),
    ("shop-orders", "Handler p95", NO_EVENTS),
    ("shop-orders", "Event age p50", NO_EVENTS),
    ("shop-billing", "gRPC calls to upstreams", UNIMPLEMENTED),
    ("shop-billing", "gRPC p95 of upstreams", UNIMPLEMENTED),
    ("shop-billing", "gRPC addresses of upstreams", UNIMPLEMENTED),
];
const UNIMPLEMENTED: &str = "the generated operations call nothing; their implementation is the user's";
const NO_EVENTS: &str = "the generated operations publish no events with a schema";

/// The maximum duration of load.
const TEST_TIMEOUT: Duration = Duration::from_mins(2);

/// A program with a database of its own, and one that stores items in it.
struct Program {
    name: &'static str,
    process: ServiceProcess,
    sys: SocketAddr,
    http: Option<SocketAddr>,
    grpc: Option<SocketAddr>,
    /// What `shop-bot` calls.
    telegram: FakeBotApi,
    /// `shop-web`, for a program that stores nothing itself.
    writer: Option<Box<Program>>,
}

impl Program {
    async fn start(name: &'static str, folder: &Path) -> Self {
        let database = folder.join("shop.db").to_string_lossy().into_owned();
        let telegram = FakeBotApi::start("1:test").await.unwrap();
        let telegram_url = telegram.url();
        let env = [
            ("SHOP_PROGRAM", name),
            ("SQLITE_PATH", &database),
            ("PROMETHEUS_PORT", "0"),
            ("SERVER_PORT", "0"),
            ("GRPC_PORT", "0"),
            ("PAYMENTS_API_URL", "http://localhost:1"),
            ("PAYMENTS_API_CREDENTIAL", "test"),
            ("CATALOG_GRPC_URL", "http://localhost:1"),
            ("SUPPORT_BOT_TELEGRAM_TOKEN", "1:test"),
            ("SUPPORT_BOT_TELEGRAM_URL", &telegram_url),
            ("SUPPORT_BOT_TELEGRAM_PRIVATE", "true"),
            ("ALERTS_TELEGRAM_TOKEN", "1:test"),
        ];
        let binary = Path::new(env!("CARGO_BIN_EXE_shop-tests"));
        let mut process = ServiceProcess::start(&Launch { binary, args: &["serve"], env: &env, directory: folder });
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        let has_http = ["shop", "shop-web", "shop-orders"].contains(&name);
        let has_grpc = ["shop", "shop-rpc", "shop-billing"].contains(&name);
        let http = if has_http { Some(process.listener("http").await) } else { None };
        let grpc = if has_grpc { Some(process.listener("grpc").await) } else { None };
        Self { name, process, sys, http, grpc, telegram, writer: None }
    }

    /// Requests that succeed, and an item that causes an event.
    async fn load(&self, client: &reqwest::Client) {
        if let Some(writer) = &self.writer {
            create_item(client, writer.http.unwrap()).await;
        }
        self.telegram.write(7, "/list");
        match (self.name, self.http) {
            ("shop-orders", Some(http)) => {
                client.get(format!("http://{http}/v1/categories")).send().await.unwrap();
            }
            (_, Some(http)) => create_item(client, http).await,
            (_, None) => {}
        }
        let Some(grpc) = self.grpc.map(|address| format!("http://{address}")) else { return };
        if self.name == "shop-billing" {
            let mut client = BillingServiceClient::connect(grpc).await.unwrap();
            client.create_invoice(CreateInvoiceRequest::default()).await.unwrap_err();
        } else {
            let mut client = ItemServiceClient::connect(grpc).await.unwrap();
            client.create_item(CreateItemRequest { text: "one".to_owned() }).await.unwrap();
            client.list_items(ListItemsRequest::default()).await.unwrap();
        }
    }
}

async fn create_item(client: &reqwest::Client, http: SocketAddr) {
    let url = format!("http://{http}/api/v1/items");
    let response = client.post(&url).json(&json!({ "text": "one" })).send().await.unwrap();
    assert_eq!(response.status(), 201);
    assert_eq!(client.get(&url).send().await.unwrap().status(), 200);
}

/// A query of a panel.
struct Query {
    program: &'static str,
    panel: String,
    expr: String,
    legend: String,
    series: Vec<(Value, String)>,
}

impl Query {
    fn has_data(&self) -> bool {
        self.series.iter().any(|(_, value)| value != "NaN")
    }

    fn reason(&self) -> Option<&'static str> {
        let mut listed = EMPTY.iter().filter(|(program, ..)| *program == self.program);
        listed.find(|(_, panel, _)| self.panel.starts_with(panel)).map(|(_, _, reason)| *reason)
    }

    /// A label of the legend that no series has.
    fn unknown_label(&self) -> Option<&str> {
        let labels = self.legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        let is_unknown = |label: &&str| !self.series.iter().any(|(metric, _)| metric.get(label).is_some());
        labels.filter(|_| self.has_data()).find(is_unknown)
    }
}

fn infra() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shop/infra")
}

/// The queries of a dashboard for Prometheus. Loki and Tempo answer the others.
fn queries(program: &'static str) -> Vec<Query> {
    let file = infra().join(format!("grafana/dashboards/{program}.json"));
    let board: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    assert_eq!((&board["uid"], &board["title"]), (&json!(program), &json!(program)));
    let mut queries = Vec::new();
    for panel in board["panels"].as_array().unwrap() {
        let targets = panel["targets"].as_array().into_iter().flatten();
        for target in targets.filter(|target| target["datasource"]["type"] == "prometheus") {
            let text = |key: &str| target[key].as_str().unwrap().to_owned();
            let panel = panel["title"].as_str().unwrap().to_owned();
            let expr = text("expr").replace("$__rate_interval", "5m");
            assert!(!expr.contains('$'), "{program} / {panel}: {expr}");
            queries.push(Query { program, panel, expr, legend: text("legendFormat"), series: Vec::new() });
        }
    }
    queries
}

/// Evaluates each query that had no data yet.
async fn evaluate(queries: &mut [Query], prometheus: &Prometheus) {
    for query in queries.iter_mut().filter(|query| !query.has_data()) {
        query.series = prometheus.query(&query.expr).await;
    }
}

fn missing(queries: &[Query], is_alert: bool) -> Vec<String> {
    let missing = queries.iter().filter(|query| !query.has_data() && query.reason().is_none());
    let missing = missing.filter(|query| (query.panel == "Alerts") == is_alert);
    missing.map(|query| format!("{} / {} returns nothing: {}", query.program, query.panel, query.expr)).collect()
}

/// What is wrong with the list of empty panels and with legends.
fn faults(queries: &[Query]) -> Vec<String> {
    let is_of = |query: &Query, (program, panel, _): &(&str, &str, &str)| {
        query.program == *program && query.panel.starts_with(panel)
    };
    let listed = EMPTY.iter().filter(|row| !queries.iter().any(|query| is_of(query, row) && !query.has_data()));
    let mut faults: Vec<_> = listed.map(|(program, panel, _)| format!("{program} / {panel}: strike it off")).collect();
    for query in queries {
        if let Some(label) = query.unknown_label() {
            faults.push(format!("{} / {}: no series has the label {label}", query.program, query.panel));
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_returns_data_from_the_running_program() {
    let Some(binary) = Backend::Prometheus.address() else { return };
    let folders: BTreeMap<_, TempDir> = PROGRAMS.into_iter().map(|name| (name, tempfile::tempdir().unwrap())).collect();
    let mut programs = Vec::new();
    for name in PROGRAMS {
        let folder = folders[name].path();
        let mut program = Program::start(name, folder).await;
        // It starts after the program, which publishes the events of both.
        if ["shop-orders", "shop-billing", "shop-bot", "shop-background"].contains(&name) {
            program.writer = Some(Box::new(Program::start("shop-web", folder).await));
        }
        programs.push(program);
    }
    let targets: Vec<_> = programs.iter().map(|program| (program.name, program.sys)).collect();
    let prometheus = Prometheus::start(Path::new(&binary), &infra().join("prometheus"), &targets).await;
    let client = reqwest::Client::new();
    let mut queries: Vec<_> = PROGRAMS.into_iter().flat_map(queries).collect();
    assert!(queries.len() > PROGRAMS.len() * 30, "{}", queries.len());

    let started = Instant::now();
    while !missing(&queries, false).is_empty() && started.elapsed() < TEST_TIMEOUT {
        for program in &programs {
            program.load(&client).await;
        }
        evaluate(&mut queries, &prometheus).await;
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(missing(&queries, false), Vec::<String>::new());

    // A stopped program is an alert that waits for its time.
    for program in &mut programs {
        program.process.terminate();
        program.process.wait(TEST_TIMEOUT).await;
    }
    while !missing(&queries, true).is_empty() && started.elapsed() < TEST_TIMEOUT {
        evaluate(&mut queries, &prometheus).await;
        sleep(Duration::from_millis(500)).await;
    }
    assert_eq!(missing(&queries, true), Vec::<String>::new());
    assert_eq!(faults(&queries), Vec::<String>::new());
}
