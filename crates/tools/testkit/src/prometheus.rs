//! A Prometheus with a configuration and rules of this repository, with shorter intervals.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use crate::process::{Launch, ServiceProcess};

const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// A running Prometheus.
pub struct Prometheus {
    url: String,
    client: reqwest::Client,
    _process: ServiceProcess,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts a Prometheus with the files of a folder like `infra/prometheus`, which scrapes the services at these addresses, by
    /// their jobs.
    pub async fn start(binary: &Path, files: &Path, targets: &[(&str, SocketAddr)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), files, targets);
        let args = [
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
            "--log.format=json",
            "--enable-feature=exemplar-storage",
        ];
        let process = ServiceProcess::start(&Launch { binary, args: &args, env: &[], directory: folder.path() });
        let url = format!("http://{}", address(&process).await);
        rustls::crypto::ring::default_provider().install_default().ok();
        Self { url, client: reqwest::Client::new(), _process: process, _folder: folder }
    }

    /// Waits until a scrape of `job` succeeded.
    pub async fn until_up(&self, job: &str) {
        let began = Instant::now();
        while self.query(&format!("up{{job=\"{job}\"}} == 1")).await.is_empty() {
            assert!(began.elapsed() < TEST_TIMEOUT, "{job} is not scraped");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// The traces of the exemplars of `expr`.
    pub async fn exemplars(&self, expr: &str) -> BTreeSet<String> {
        let times = ["start", "end"].into_iter().zip(["0", "9999999999"]);
        let params = times.chain([("query", expr)]);
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query_exemplars", self.url), params).unwrap();
        let response_body: Value = self.client.get(url).send().await.unwrap().json().await.unwrap();
        assert_eq!(response_body["status"], "success", "{expr}: {response_body}");
        let series = response_body["data"].as_array().unwrap().iter();
        let exemplars = series.flat_map(|series| series["exemplars"].as_array().unwrap());
        exemplars.map(|exemplar| exemplar["labels"]["trace_id"].as_str().unwrap().to_owned()).collect()
    }

    /// The series of `expr` at this moment: labels and value.
    pub async fn query(&self, expr: &str) -> Vec<(Value, String)> {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.url), [("query", expr)]).unwrap();
        let Ok(response) = self.client.get(url).send().await else { return Vec::new() };
        let response_body: Value = response.json().await.unwrap_or_default();
        assert_ne!(response_body["errorType"], "bad_data", "{expr}: {response_body}");
        let series = response_body["data"]["result"].as_array().cloned().unwrap_or_default();
        let value = |series: Value| (series["metric"].clone(), series["value"][1].as_str().unwrap().to_owned());
        series.into_iter().map(value).collect()
    }
}

/// The files, with intervals of one second and these services to scrape.
fn configure(folder: &Path, files: &Path, targets: &[(&str, SocketAddr)]) {
    let mut config = fs::read_to_string(files.join("prometheus.yml")).unwrap();
    for (setting, slow) in [("scrape_interval", "15s"), ("scrape_timeout", "10s"), ("evaluation_interval", "15s")] {
        let slow = format!("{setting}: {slow}");
        assert!(config.contains(&slow), "{slow}");
        config = config.replace(&slow, &format!("{setting}: 1s"));
    }
    fs::write(folder.join("prometheus.yml"), config).unwrap();
    for name in ["rules", "targets"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for entry in fs::read_dir(files.join("rules")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.join("rules").join(entry.file_name())).unwrap();
    }
    let target =
        |(job, address): &(&str, SocketAddr)| format!("- targets: ['{address}']\n  labels: {{ job: {job} }}\n");
    let targets: Vec<_> = targets.iter().map(target).collect();
    fs::write(folder.join("targets/services.yml"), targets.concat()).unwrap();
}

/// Its address, once it has logged it.
async fn address(process: &ServiceProcess) -> String {
    let began = Instant::now();
    loop {
        let output = process.output();
        let lines = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        if let Some(line) = lines.into_iter().find(|line| line["msg"] == "Listening on") {
            return line["address"].as_str().unwrap().to_owned();
        }
        assert!(began.elapsed() < TEST_TIMEOUT, "prometheus does not start:\n{output}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The complaints of `promtool`, which is next to the binary, about the metrics.
pub async fn lint(binary: &Path, metrics: &str) -> String {
    let mut child = Command::new(binary.with_file_name("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(metrics.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
}
