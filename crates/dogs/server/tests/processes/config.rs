//! Invalid settings: all are reported with their locations before anything is opened.

use kennel_core::BackendKind;

use crate::service_dir::ServiceDir;

#[tokio::test]
async fn problems_of_all_layers_are_reported_at_once() {
    let directory = ServiceDir::new()
        .set("CONFIG_FILE", "dogs.toml")
        .set("SERVER_PORT", "http")
        .set("STORAGE", "oracle")
        .set("LOG_LEVEL", "what=loud");
    directory.write("dogs.toml", "grpc_port = 50051\nbroker = \"pigeon\"\nserver_prot = 8080\n");
    directory.write(".env", "REQUEST_TIMEOUT=soon\nCACHE=drawer\nBROKER=\n");
    let before = directory.entries();
    for args in [["serve"].as_slice(), &["config", "check"], &["config", "print"], &["list"], &["migrate", "up"]] {
        let ended = directory.run(args).await.ends(64);
        assert_eq!(ended.stdout, "");
        let lines: Vec<_> = ended.stderr.lines().collect();
        let locations = [
            "SERVER_PORT (environment): ",
            "STORAGE (environment): ",
            "LOG_LEVEL (environment): error parsing level filter: ",
            "REQUEST_TIMEOUT (.env:1): ",
            "CACHE (.env:2): ",
            "broker (dogs.toml:2): ",
            "dogs.toml:3: unknown key \"server_prot\"",
        ];
        for location in locations {
            assert_eq!(
                lines.iter().filter(|line| line.starts_with(location)).count(),
                1,
                "{location} in\n{}",
                ended.stderr
            );
        }
        assert_eq!(lines.len(), locations.len(), "{}", ended.stderr);
        assert_eq!(directory.entries(), before, "nothing is created or opened");
    }
}

#[tokio::test]
async fn unknown_backends_are_reported_with_the_available_ones() {
    for (variable, kind, name, embedded) in [
        ("STORAGE", "store", "oracle", "sqlite"),
        ("BROKER", "broker", "pigeon", "memory"),
        ("CACHE", "cache", "drawer", "none, memory"),
        ("OBJECTS", "object store", "attic", "fs"),
    ] {
        let prefix = format!("{variable} (environment): there is no {kind} `{name}`; this build has ");
        let line = error_line(variable, name).await;
        let built = line.strip_prefix(&prefix).unwrap_or_else(|| panic!("{line}"));
        assert!(!cfg!(feature = "sqlite") || built.starts_with(embedded), "{line}");
    }
}

#[tokio::test]
async fn backends_that_are_not_built_in_are_reported_with_their_feature() {
    check_missing::<kennel_storage::Storage>("STORAGE").await;
    check_missing::<kennel_broker::Backend>("BROKER").await;
    check_missing::<kennel_cache::Backend>("CACHE").await;
    check_missing::<kennel_objects::Backend>("OBJECTS").await;
}

async fn check_missing<P: BackendKind>(variable: &str) {
    for (_, name, _) in P::ALL.iter().filter(|(.., built)| !built) {
        let line = error_line(variable, name).await;
        let prefix = format!("{variable} (environment): the {} `{name}` is not in this build, which has ", P::KIND);
        assert!(line.starts_with(&prefix), "{line}");
        assert!(line.ends_with(&format!("; build it with the feature `{name}`")), "{line}");
    }
}

/// The one line that `serve` exits with, as a usage error, when `variable` has this value.
async fn error_line(variable: &str, value: &str) -> String {
    let ended = ServiceDir::new().set(variable, value).run(&["serve"]).await.ends(64);
    assert_eq!((ended.stdout.as_str(), ended.stderr.lines().count()), ("", 1), "{ended:?}");
    ended.stderr.trim_end().to_owned()
}

#[tokio::test]
async fn effective_values_are_shown_with_their_source() {
    let directory = ServiceDir::new().set("CONFIG_FILE", "dogs.toml").set("SERVER_PORT", "8081");
    directory.write("dogs.toml", "server_port = 1\ngrpc_port = 2\nimage_limit = \"1MiB\"\n");
    directory.write(".env", "SERVER_PORT=3\nLOG_LEVEL=warn\n");
    directory.run(&["config", "check"]).await.ends(0);
    let shown = directory.run(&["config", "print"]).await.ends(0).stdout;
    for line in [
        "server_port = 8081 # SERVER_PORT (environment)",
        "log_level = \"warn\" # LOG_LEVEL (.env:2)",
        "image_limit = \"1MiB\" # image_limit (dogs.toml:3)",
        "cache = \"memory\" # default",
    ] {
        assert!(shown.lines().any(|found| found == line), "{line} in\n{shown}");
    }
    assert!(toml_like(&shown), "{shown}");
    let reference = directory.run(&["config", "reference"]).await.ends(0).stdout;
    for line in shown.lines().filter(|line| !line.is_empty()) {
        let key = line.trim_start_matches("# ").split(' ').next().unwrap();
        let is_setting = line.contains(" = ") || line.ends_with(" is not set");
        assert!(!is_setting || reference.contains(&key.to_ascii_uppercase()), "{key} is not documented");
    }
    assert_eq!(directory.entries(), [".env", "dogs.toml"], "nothing is created");
}

/// Whether the output is a valid `CONFIG_FILE`: every line is a comment or a setting.
fn toml_like(text: &str) -> bool {
    text.lines().all(|line| line.is_empty() || line.starts_with('#') || line.contains(" = "))
}

#[tokio::test]
async fn usage_errors_have_their_own_exit_code() {
    let directory = ServiceDir::new();
    let ended = directory.run(&["sreve"]).await.ends(64);
    assert!(ended.stdout.is_empty() && ended.stderr.contains("serve"), "{ended:?}");
    directory.run(&["list", "--limit", "many"]).await.ends(64);
    directory.run(&["fetch", "a.b"]).await.ends(64);
    directory.run(&["--help"]).await.ends(0);
    assert!(directory.run(&["--version"]).await.ends(0).stdout.starts_with("dogs 0."));
    assert_eq!(directory.entries(), Vec::<String>::new());
}

/// Outside its URL, a password needs no percent-encoding; it is never shown.
#[tokio::test]
async fn a_password_can_be_set_separately_from_its_url() {
    const PASSWORD: &str = "p@ss/w#1%2$x";
    for (choice, variable, address) in [
        (("STORAGE", "postgres"), "POSTGRES", ("POSTGRES_DSN", "postgres://kennel@db/dogs")),
        (("STORAGE", "mysql"), "MYSQL", ("MYSQL_DSN", "mysql://kennel@db/dogs")),
        (("STORAGE", "clickhouse"), "CLICKHOUSE", ("CLICKHOUSE_DSN", "http://kennel@db/dogs")),
        (("BROKER", "nats"), "NATS", ("NATS_URL", "nats://kennel@a,nats://kennel@b")),
        (("BROKER", "rabbitmq"), "RABBITMQ", ("RABBITMQ_URL", "amqp://kennel@db/%2f")),
    ] {
        if ServiceDir::new()
            .set(choice.0, choice.1)
            .run(&["config", "check"])
            .await
            .stderr
            .contains("is not in this build")
        {
            continue;
        }
        let variable = format!("{variable}_PASSWORD");
        let directory = ServiceDir::new().set(choice.0, choice.1).set(address.0, address.1).set(&variable, PASSWORD);
        directory.run(&["config", "check"]).await.ends(0);
        assert!(!directory.run(&["config", "print"]).await.ends(0).stdout.contains(PASSWORD));
        for wrong in [address.1.replace("kennel", "kennel:hunter2"), address.1.replace("kennel@", "")] {
            let directory = ServiceDir::new().set(choice.0, choice.1).set(address.0, &wrong).set(&variable, PASSWORD);
            let error = directory.run(&["config", "check"]).await.ends(64).stderr;
            assert!(error.starts_with(&format!("{variable} (environment): the URL of this password ")), "{error}");
            assert!(!error.contains("hunter2") && !error.contains(PASSWORD), "{error}");
        }
    }
}
