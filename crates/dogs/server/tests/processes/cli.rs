//! Commands, except for imports and dead letters.

use std::net::TcpListener;
use std::path::Path;

use kennel_testkit::Upstream;
use tokio::io::AsyncReadExt as _;

use crate::service_dir::ServiceDir;

#[tokio::test]
async fn an_unknown_breed_is_reported_in_one_line() {
    let upstream = Upstream::new().await;
    for directory in [ServiceDir::new(), ServiceDir::with_upstream(&upstream)] {
        let ended = directory.run(&["fetch", "unicorn"]).await.ends(1);
        assert_eq!(ended.stderr, "error: there is no breed `unicorn`\n");
        assert_eq!(ended.stdout, "");
        assert_eq!(directory.run(&["list"]).await.ends(0).stdout, "");
    }
}

#[tokio::test]
async fn an_unavailable_source_is_reported() {
    let upstream = Upstream::new().await;
    let directory = ServiceDir::with_upstream(&upstream).set("DOG_API_TIMEOUT", "2s");
    upstream.stop().await;
    let ended = directory.run(&["fetch", "husky"]).await.ends(1);
    let error = ended.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.starts_with("error: the source of dogs "), "{error}");
    assert_eq!(directory.run(&["list"]).await.ends(0).stdout, "");
}

#[tokio::test]
async fn lists_are_for_people_and_for_programs() {
    let directory = ServiceDir::new();
    let lines = ["husky", "boxer", "husky"].map(|breed| format!("{{\"breed\":\"{breed}\",\"name\":\"a {breed}\"}}\n"));
    directory.run_with_input(&["import", "-", "--key", "k"], lines.concat().as_bytes()).await.ends(0);
    let all = directory.run(&["list", "--json"]).await.ends(0).rows();
    let mut oldest_first = directory.run(&["list", "--json", "--order", "asc"]).await.ends(0).rows();
    oldest_first.reverse();
    assert_eq!((all.len(), &all), (3, &oldest_first));
    assert_eq!(directory.run(&["list", "--json", "--breed", "Husky"]).await.ends(0).rows().len(), 2);
    assert_eq!(directory.run(&["list", "--json", "--limit", "1"]).await.ends(0).rows(), all[..1]);
    let table = directory.run(&["list"]).await.ends(0).stdout;
    for (line, row) in table.lines().zip(&all) {
        for field in ["id", "created_at", "breed", "name"] {
            assert!(line.contains(row[field].as_str().unwrap()), "{field} of {row} in {line}");
        }
    }
    assert_eq!(table.lines().count(), 3);
    for limit in ["0", "1001"] {
        let ended = directory.run(&["list", "--limit", limit]).await.ends(1);
        assert_eq!(ended.stderr, "error: --limit: must be 1 to 1000\n");
    }
}

#[tokio::test]
async fn a_closed_standard_output_is_not_a_failure() {
    let directory = ServiceDir::new();
    let lines = "{\"breed\":\"husky\",\"name\":\"one of many\"}\n".repeat(20_000);
    directory.run_with_input(&["import", "-", "--key", "k"], lines.as_bytes()).await.ends(0);
    for args in [["export"].as_slice(), &["openapi"]] {
        let mut child = directory.spawn(args);
        let mut first = [0; 16];
        child.stdout.take().unwrap().read_exact(&mut first).await.unwrap();
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[tokio::test]
async fn migrations_are_applied_and_reverted() {
    let directory = ServiceDir::new();
    let states = async || {
        let ended = directory.run(&["migrate", "status"]).await;
        let pending = ended.stdout.lines().filter(|line| line.ends_with(" pending")).count();
        let applied = ended.stdout.lines().filter(|line| line.contains(" applied 20")).count();
        assert_eq!(pending + applied, ended.stdout.lines().count(), "{}", ended.stdout);
        (ended.code, applied, pending)
    };
    let (code, none, all) = states().await;
    assert_eq!((code, none), (Some(1), 0));
    assert!(all >= 2);
    let up = directory.run(&["migrate", "up"]).await.ends(0).stdout;
    assert_eq!(up.lines().filter(|line| line.ends_with(" applied")).count(), all, "{up}");
    assert_eq!(states().await, (Some(0), all, 0));
    assert_eq!(directory.run(&["migrate", "up"]).await.ends(0).stdout, "nothing to do\n");
    assert!(directory.run(&["migrate", "down"]).await.ends(0).stdout.ends_with(" reverted\n"));
    assert_eq!(states().await, (Some(1), all - 1, 1));
    for _ in 1..all {
        directory.run(&["migrate", "down"]).await.ends(0);
    }
    assert_eq!(directory.run(&["migrate", "down"]).await.ends(0).stdout, "nothing to do\n");
    assert_eq!(states().await, (Some(1), 0, all));
    // Every other command migrates the schema first.
    assert_eq!(directory.run(&["list"]).await.ends(0).stdout, "");
    assert_eq!(states().await, (Some(0), all, 0));
}

#[tokio::test]
async fn the_health_check_sets_the_exit_code() {
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let url = format!("http://{}/ready", served.sys);
    assert_eq!(directory.run(&["healthcheck", "--url", &url]).await.ends(0).stdout, "ready\n");
    let by_port = ServiceDir::new().set("PROMETHEUS_PORT", &served.sys.port().to_string());
    by_port.run(&["healthcheck"]).await.ends(0);
    served.stop().await;
    for directory in [&by_port, &directory] {
        let ended = directory.run(&["healthcheck", "--url", &url]).await.ends(1);
        assert!(ended.stderr.starts_with(&format!("not ready: {url}: ")), "{}", ended.stderr);
    }
    directory.run(&["healthcheck", "--url", "nowhere"]).await.ends(1);
    // A server that accepts connections and does not respond.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ready", silent.local_addr().unwrap());
    directory.run(&["healthcheck", "--url", &url]).await.ends(1);
}

#[tokio::test]
async fn descriptions_match_the_committed_files() {
    let api = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../api/dogs");
    let committed = |name: &str| std::fs::read_to_string(api.join(name)).unwrap();
    let directory = ServiceDir::new().set("STORAGE", "oracle");
    assert!(directory.run(&["openapi"]).await.ends(0).stdout == committed("openapi.json"));
    assert!(directory.run(&["openapi", "--format", "yaml"]).await.ends(0).stdout == committed("openapi.yaml"));
    assert!(directory.run(&["asyncapi"]).await.ends(0).stdout == committed("asyncapi.yaml"));
}
