//! Processes that cannot start: they exit with the reason.

use std::net::TcpListener;

use crate::service_dir::{CommandOutput, ServiceDir};
use crate::support::TEST_TIMEOUT;

/// Runs `serve`, which must exit by itself.
async fn serve(directory: &ServiceDir, args: &[&str]) -> CommandOutput {
    let mut process = directory.start(&[&["serve"], args].concat());
    let code = process.wait(TEST_TIMEOUT).await.code();
    CommandOutput { code, stdout: process.output(), stderr: String::new() }
}

#[tokio::test]
async fn a_port_in_use_is_reported_with_its_component() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, component) in [("SERVER_PORT", "http"), ("GRPC_PORT", "grpc"), ("PROMETHEUS_PORT", "sys")] {
        let directory = ServiceDir::new().set(variable, &port);
        let ended = serve(&directory, &[]).await.ends(1);
        let error = ended.stdout.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(error.contains(&format!("component `{component}` could not start")), "{error}");
        assert!(error.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{error}");
        assert_eq!(ended.stdout.matches("error: ").count(), 1, "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named() {
    let directory = ServiceDir::new().set("SQLITE_PATH", "no-folder/dogs.db");
    directory.write("no-folder", "a file");
    let ended = serve(&directory, &[]).await.ends(1);
    let error = ended.stdout.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(error.starts_with("error: the store `sqlite` does not open: "), "{error}");
    assert!(error.contains("the file no-folder/dogs.db: "), "{error}");
}

#[tokio::test]
async fn an_old_schema_is_rejected_if_it_may_not_be_migrated() {
    let directory = ServiceDir::new().set("MIGRATE_ON_START", "false");
    let ended = serve(&directory, &[]).await.ends(1);
    assert!(ended.stdout.contains("dogs migrate up"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("listening"), "{}", ended.stdout);
    directory.run(&["migrate", "up"]).await.ends(0);
    directory.serve().await.stop().await;
}

#[tokio::test]
async fn invalid_component_selections_are_rejected() {
    let directory = ServiceDir::new();
    let ended = serve(&directory, &["--only", "http,htpt"]).await.ends(1);
    assert!(
        ended
            .stdout
            .contains("there is no component `htpt`; there are: http, grpc, outbox-relay, dogs.thumbnailer, sys"),
        "{}",
        ended.stdout
    );
    let ended = serve(&directory, &["--only", "outbox-relay,sys"]).await.ends(1);
    assert!(ended.stdout.contains("`outbox-relay` needs `dogs.thumbnailer`"), "{}", ended.stdout);
}
