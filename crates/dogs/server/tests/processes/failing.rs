//! Processes that cannot run, or not any more: they end, and say why.

use std::net::TcpListener;

use crate::home::{Home, Outcome};
use crate::support::PATIENCE;

/// `serve`, which has to end by itself.
async fn serve(home: &Home, args: &[&str]) -> Outcome {
    let mut process = home.start(&[&["serve"], args].concat());
    let code = process.wait(PATIENCE).await.code();
    Outcome { code, stdout: process.output(), stderr: String::new() }
}

#[tokio::test]
async fn a_taken_port_ends_it_with_the_name_of_who_wanted_it() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (variable, component) in [("SERVER_PORT", "http"), ("GRPC_PORT", "grpc"), ("PROMETHEUS_PORT", "sys")] {
        let home = Home::new().set(variable, &port);
        let ended = serve(&home, &[]).await.ends(1);
        let told = ended.stdout.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(told.contains(&format!("component `{component}` could not start")), "{told}");
        assert!(told.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{told}");
        assert_eq!(ended.stdout.matches("error: ").count(), 1, "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_store_that_cannot_be_opened_is_named() {
    let home = Home::new().set("SQLITE_PATH", "no-folder/dogs.db");
    home.write("no-folder", "a file");
    let ended = serve(&home, &[]).await.ends(1);
    let told = ended.stdout.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(told.starts_with("error: the store `sqlite` does not open: "), "{told}");
    assert!(told.contains("the file no-folder/dogs.db: "), "{told}");
}

#[tokio::test]
async fn an_old_schema_is_not_served_unless_it_may_be_changed() {
    let home = Home::new().set("MIGRATE_ON_START", "false");
    let ended = serve(&home, &[]).await.ends(1);
    assert!(ended.stdout.contains("dogs migrate up"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("listening"), "{}", ended.stdout);
    home.run(&["migrate", "up"]).await.ends(0);
    home.serve().await.stop().await;
}

#[tokio::test]
async fn components_that_cannot_be_picked_are_named() {
    let home = Home::new();
    let ended = serve(&home, &["--only", "http,htpt"]).await.ends(1);
    assert!(ended.stdout.contains("there is no component `htpt`; there are: http, grpc, sys"), "{}", ended.stdout);
    let ended = serve(&home, &["--only", "relay,sys"]).await.ends(1);
    assert!(ended.stdout.contains("`relay` needs `thumbnailer`"), "{}", ended.stdout);
}
