use std::time::Duration;

use super::*;

const SECRET: &str = "barks-at-night";

/// The settings with problems.
fn problems(change: impl FnOnce(&mut KafkaConfig)) -> Vec<String> {
    let mut config = KafkaConfig::at("one:9092, [::1]:9093");
    change(&mut config);
    wrong_settings(&config)
}

fn wrong_settings(config: &KafkaConfig) -> Vec<String> {
    let mut problems = Problems::default();
    config.check_as_broker(&mut problems);
    let errors = problems.into_result().err().map(|errors| errors.0).unwrap_or_default();
    errors.into_iter().map(|error| error.location.split(' ').next().unwrap_or_default().to_ascii_lowercase()).collect()
}

fn user(config: &mut KafkaConfig, auth: Auth) {
    config.kafka_auth_type = auth;
    config.kafka_username = Some("rex".to_owned());
    config.kafka_password = Some(SECRET.into());
}

#[test]
fn valid_settings_have_no_problems() {
    assert_eq!(problems(|_| {}), [""; 0]);
    for auth in [Auth::ScramSha256, Auth::ScramSha512] {
        assert_eq!(problems(|config| user(config, auth)), [""; 0]);
    }
    let plain = problems(|config| {
        user(config, Auth::Plain);
        config.kafka_tls_enabled = true;
    });
    assert_eq!(plain, [""; 0]);
}

#[test]
fn every_problem_is_reported() {
    for brokers in ["", "one", "one:", ":9092", "one:0", "one:9092,", "one:99999"] {
        let found = problems(|config| config.kafka_brokers = Some(brokers.to_owned()));
        assert_eq!(found, ["kafka_brokers"], "{brokers}");
    }
    assert_eq!(problems(|config| config.kafka_auth_type = Auth::ScramSha256), ["kafka_username", "kafka_password"]);
    assert_eq!(problems(|config| config.kafka_username = Some("rex".to_owned())), ["kafka_auth_type"]);
    assert_eq!(problems(|config| config.tuning.publish_timeout = Duration::from_millis(1)).len(), 1);
    assert_eq!(problems(|config| config.kafka_tls_ca_cert = Some("/no/such/file".into())).len(), 2);
}

#[test]
fn routes_lead_to_topics_of_their_own() {
    let route = |event: &str, topic: &str, to: &str| Route {
        event: event.to_owned(),
        topic: topic.to_owned(),
        to: to.to_owned(),
    };
    let of = |routes: &[Route]| problems(|config| config.routes = routes.to_vec());
    assert_eq!(of(&[route("t.a", "t", "a b"), route("t.b", "t", "t")]), ["kafka_topic_t_a", "kafka_topic_t_b"]);
    assert_eq!(of(&[route("t.a", "t", "same"), route("u.a", "u", "same")]).len(), 2);
    assert_eq!(of(&[route("t.a", "t", "u"), route("u.a", "u", "v")]), ["kafka_topic_t_a"]);
    assert_eq!(of(&[route("t.a", "t", "v"), route("t.b", "t", "v")]), [""; 0]);
}

#[test]
fn settings_that_expose_secrets_must_be_allowed() {
    let plain = |allowed: bool| {
        problems(|config| {
            user(config, Auth::Plain);
            config.kafka_tls_allow_insecure = allowed;
        })
    };
    let unverified = |allowed: bool| {
        problems(|config| {
            config.kafka_tls_enabled = true;
            config.kafka_tls_skip_verify = true;
            config.kafka_tls_allow_insecure = allowed;
        })
    };
    assert_eq!((plain(false).len(), plain(true).len()), (1, 0));
    assert_eq!((unverified(false).len(), unverified(true).len()), (1, 0));
    assert_eq!(unverified(false), ["kafka_tls_skip_verify"]);
}

#[test]
fn the_password_is_not_shown() {
    let mut config = KafkaConfig::at("one:9092");
    user(&mut config, Auth::ScramSha512);
    assert!(!format!("{config:?}").contains(SECRET));
    assert!(!format!("{:?}", config.client()).contains(SECRET));
    assert_eq!(config.client().get("sasl.password"), Some(SECRET));
}

#[test]
fn clients_use_the_settings() {
    let protocol = |auth, tls| {
        let mut config = KafkaConfig::at("one:9092");
        user(&mut config, auth);
        config.kafka_tls_enabled = tls;
        config.client().get("security.protocol").map(str::to_owned).unwrap()
    };
    assert_eq!(protocol(Auth::None, false), "plaintext");
    assert_eq!(protocol(Auth::None, true), "ssl");
    assert_eq!(protocol(Auth::Plain, false), "sasl_plaintext");
    assert_eq!(protocol(Auth::ScramSha256, true), "sasl_ssl");
    let mut config = KafkaConfig::at("one:9092");
    config.kafka_tls_enabled = true;
    config.kafka_tls_skip_verify = true;
    assert_eq!(config.client().get("enable.ssl.certificate.verification"), Some("false"));
}

#[test]
fn mechanisms_have_the_names_of_the_setting() {
    for auth in [Auth::None, Auth::Plain, Auth::ScramSha256, Auth::ScramSha512] {
        assert_eq!(serde_json::to_string(&auth).unwrap(), format!("\"{}\"", mechanism(auth)));
    }
}

#[test]
fn there_is_no_default_cluster() {
    assert_eq!(wrong_settings(&KafkaConfig::default()), ["kafka_brokers"]);
}
