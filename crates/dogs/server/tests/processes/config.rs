//! Wrong settings: all of them are told, with their places, before anything is opened.

use kennel_core::BackendKind;

use crate::home::Home;

#[tokio::test]
async fn every_problem_of_every_layer_is_told_at_once() {
    let home = Home::new()
        .set("CONFIG_FILE", "dogs.toml")
        .set("SERVER_PORT", "http")
        .set("STORAGE", "oracle")
        .set("LOG_LEVEL", "what=loud");
    home.write("dogs.toml", "grpc_port = 50051\nbroker = \"pigeon\"\nserver_prot = 8080\n");
    home.write(".env", "REQUEST_TIMEOUT=soon\nCACHE=drawer\nBROKER=\n");
    let before = home.entries();
    for args in [["serve"].as_slice(), &["config", "check"], &["config", "print"], &["list"], &["migrate", "up"]] {
        let ended = home.run(args).await.ends(64);
        assert_eq!(ended.stdout, "");
        let told: Vec<_> = ended.stderr.lines().collect();
        let places = [
            "SERVER_PORT (environment): ",
            "STORAGE (environment): ",
            "LOG_LEVEL (environment): error parsing level filter: ",
            "REQUEST_TIMEOUT (.env:1): ",
            "CACHE (.env:2): ",
            "broker (dogs.toml:2): ",
            "dogs.toml:3: unknown key \"server_prot\"",
        ];
        for place in places {
            assert_eq!(told.iter().filter(|line| line.starts_with(place)).count(), 1, "{place} in\n{}", ended.stderr);
        }
        assert_eq!(told.len(), places.len(), "{}", ended.stderr);
        assert_eq!(home.entries(), before, "nothing is made or opened");
    }
}

#[tokio::test]
async fn parts_that_are_not_there_are_answered_with_those_that_are() {
    for (variable, kind, name, embedded) in [
        ("STORAGE", "store", "oracle", "sqlite"),
        ("BROKER", "broker", "pigeon", "memory"),
        ("CACHE", "cache", "drawer", "none, memory"),
        ("OBJECTS", "object store", "attic", "fs"),
    ] {
        let told = format!("{variable} (environment): there is no {kind} `{name}`; this build has ");
        let line = refusal(variable, name).await;
        let built = line.strip_prefix(&told).unwrap_or_else(|| panic!("{line}"));
        assert!(!cfg!(feature = "sqlite") || built.starts_with(embedded), "{line}");
    }
}

#[tokio::test]
async fn parts_that_this_build_lacks_are_answered_with_their_feature() {
    lacks::<dogs_storages::Storage>("STORAGE").await;
    lacks::<kennel_broker::Backend>("BROKER").await;
    lacks::<kennel_cache::Backend>("CACHE").await;
    lacks::<kennel_objects::Backend>("OBJECTS").await;
}

async fn lacks<P: BackendKind>(variable: &str) {
    for (_, name, _) in P::ALL.iter().filter(|(.., built)| !built) {
        let line = refusal(variable, name).await;
        let told = format!("{variable} (environment): the {} `{name}` is not in this build, which has ", P::KIND);
        assert!(line.starts_with(&told), "{line}");
        assert!(line.ends_with(&format!("; build it with the feature `{name}`")), "{line}");
    }
}

/// The one line that the service ends with, as wrongly called, when `variable` is set so.
async fn refusal(variable: &str, value: &str) -> String {
    let ended = Home::new().set(variable, value).run(&["serve"]).await.ends(64);
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{ended:?}");
    ended.stderr.trim_end().to_owned()
}

#[tokio::test]
async fn what_is_in_force_is_shown_with_its_origin() {
    let home = Home::new().set("CONFIG_FILE", "dogs.toml").set("SERVER_PORT", "8081");
    home.write("dogs.toml", "server_port = 1\ngrpc_port = 2\npicture_limit = \"1MiB\"\n");
    home.write(".env", "SERVER_PORT=3\nLOG_LEVEL=warn\n");
    home.run(&["config", "check"]).await.ends(0);
    let shown = home.run(&["config", "print"]).await.ends(0).stdout;
    for line in [
        "server_port = 8081 # SERVER_PORT (environment)",
        "log_level = \"warn\" # LOG_LEVEL (.env:2)",
        "picture_limit = \"1MiB\" # picture_limit (dogs.toml:3)",
        "cache = \"memory\" # default",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} in\n{shown}");
    }
    assert!(toml_like(&shown), "{shown}");
    let reference = home.run(&["config", "reference"]).await.ends(0).stdout;
    for line in shown.lines().filter(|line| !line.is_empty()) {
        let key = line.trim_start_matches("# ").split(' ').next().unwrap();
        let is_setting = line.contains(" = ") || line.ends_with(" is not set");
        assert!(!is_setting || reference.contains(&key.to_ascii_uppercase()), "{key} is not described");
    }
    assert_eq!(home.entries(), [".env", "dogs.toml"], "nothing is made");
}

/// Whether what is shown can be a `CONFIG_FILE`: every line is a comment or a setting.
fn toml_like(text: &str) -> bool {
    text.lines().all(|line| line.is_empty() || line.starts_with('#') || line.contains(" = "))
}

#[tokio::test]
async fn wrong_usage_is_told_apart() {
    let home = Home::new();
    let ended = home.run(&["sreve"]).await.ends(64);
    assert!(ended.stdout.is_empty() && ended.stderr.contains("serve"), "{ended:?}");
    home.run(&["list", "--limit", "many"]).await.ends(64);
    home.run(&["fetch", "a.b"]).await.ends(64);
    home.run(&["--help"]).await.ends(0);
    assert!(home.run(&["--version"]).await.ends(0).stdout.starts_with("dogs 0."));
    assert_eq!(home.entries(), Vec::<String>::new());
}

/// Apart from its address a password needs no percent-encoding, and is shown as little as the address.
#[tokio::test]
async fn a_password_can_be_set_apart_from_its_address() {
    const PASSWORD: &str = "p@ss/w#1%2$x";
    for (choice, variable, address) in [
        (("STORAGE", "postgres"), "POSTGRES", ("POSTGRES_DSN", "postgres://kennel@db/dogs")),
        (("STORAGE", "mysql"), "MYSQL", ("MYSQL_DSN", "mysql://kennel@db/dogs")),
        (("STORAGE", "clickhouse"), "CLICKHOUSE", ("CLICKHOUSE_DSN", "http://kennel@db/dogs")),
        (("BROKER", "nats"), "NATS", ("NATS_URL", "nats://kennel@a,nats://kennel@b")),
        (("BROKER", "rabbitmq"), "RABBITMQ", ("RABBITMQ_URL", "amqp://kennel@db/%2f")),
    ] {
        if Home::new().set(choice.0, choice.1).run(&["config", "check"]).await.stderr.contains("is not in this build") {
            continue;
        }
        let variable = format!("{variable}_PASSWORD");
        let home = Home::new().set(choice.0, choice.1).set(address.0, address.1).set(&variable, PASSWORD);
        home.run(&["config", "check"]).await.ends(0);
        assert!(!home.run(&["config", "print"]).await.ends(0).stdout.contains(PASSWORD));
        for wrong in [address.1.replace("kennel", "kennel:hunter2"), address.1.replace("kennel@", "")] {
            let home = Home::new().set(choice.0, choice.1).set(address.0, &wrong).set(&variable, PASSWORD);
            let told = home.run(&["config", "check"]).await.ends(64).stderr;
            assert!(told.starts_with(&format!("{variable} (environment): the address that it belongs to ")), "{told}");
            assert!(!told.contains("hunter2") && !told.contains(PASSWORD), "{told}");
        }
    }
}
