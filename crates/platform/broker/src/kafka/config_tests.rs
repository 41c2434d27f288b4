use super::*;

const SECRET: &str = "barks-at-night";

fn problems(change: impl FnOnce(&mut KafkaConfig)) -> Vec<&'static str> {
    let mut config = KafkaConfig::at("one:9092, [::1]:9093");
    change(&mut config);
    config.problems().into_iter().map(|(setting, _)| setting).collect()
}

fn user(config: &mut KafkaConfig, auth: Auth) {
    config.auth = auth;
    config.username = Some("rex".to_owned());
    config.password = Some(SECRET.to_owned().into());
}

#[test]
fn good_settings_have_no_problems() {
    assert_eq!(problems(|_| {}), [""; 0]);
    for auth in [Auth::ScramSha256, Auth::ScramSha512] {
        assert_eq!(problems(|config| user(config, auth)), [""; 0]);
    }
    let plain = problems(|config| {
        user(config, Auth::Plain);
        config.tls.enabled = true;
    });
    assert_eq!(plain, [""; 0]);
}

#[test]
fn every_problem_is_reported() {
    for brokers in ["", "one", "one:", ":9092", "one:0", "one:9092,", "one:99999"] {
        let found = problems(|config| config.brokers = brokers.to_owned());
        assert_eq!(found, ["kafka.brokers"], "{brokers}");
    }
    assert_eq!(problems(|config| config.auth = Auth::ScramSha256).len(), 2);
    assert_eq!(problems(|config| config.username = Some("rex".to_owned())).len(), 1);
    assert_eq!(problems(|config| config.tuning.publish_timeout_ms = 1).len(), 1);
    assert_eq!(problems(|config| config.tls.ca_cert = Some("/no/such/file".into())).len(), 2);
    let route = |to: &str, topic: &str| Route { event: "e".to_owned(), topic: topic.to_owned(), to: to.to_owned() };
    assert_eq!(problems(|config| config.routes = vec![route("a b", "t"), route("t", "t")]).len(), 2);
    assert_eq!(problems(|config| config.routes = vec![route("same", "t"), route("same", "u")]).len(), 1);
    assert_eq!(problems(|config| config.routes = vec![route("u", "t"), route("v", "u")]).len(), 1);
    assert_eq!(problems(|config| config.routes = vec![route("v", "t"), route("v", "t")]), [""; 0]);
}

#[test]
fn what_gives_secrets_away_has_to_be_allowed() {
    let plain = |allowed: bool| {
        problems(|config| {
            user(config, Auth::Plain);
            config.tls.allow_insecure = allowed;
        })
    };
    let unverified = |allow_insecure: bool| {
        problems(|config| config.tls = Tls { enabled: true, ca_cert: None, skip_verify: true, allow_insecure })
    };
    assert_eq!((plain(false).len(), plain(true).len()), (1, 0));
    assert_eq!((unverified(false).len(), unverified(true).len()), (1, 0));
    assert_eq!(unverified(false), ["kafka.tls_skip_verify"]);
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
fn clients_are_set_up_as_asked() {
    let protocol = |auth, tls| {
        let mut config = KafkaConfig::at("one:9092");
        user(&mut config, auth);
        config.tls.enabled = tls;
        config.client().get("security.protocol").map(str::to_owned).unwrap()
    };
    assert_eq!(protocol(Auth::None, false), "plaintext");
    assert_eq!(protocol(Auth::None, true), "ssl");
    assert_eq!(protocol(Auth::Plain, false), "sasl_plaintext");
    assert_eq!(protocol(Auth::ScramSha256, true), "sasl_ssl");
    let mut config = KafkaConfig::at("one:9092");
    config.tls = Tls { enabled: true, ca_cert: None, skip_verify: true, allow_insecure: true };
    assert_eq!(config.client().get("enable.ssl.certificate.verification"), Some("false"));
}

#[test]
fn auth_is_known_by_its_name() {
    for auth in Auth::ALL {
        assert_eq!(auth.name().parse::<Auth>().unwrap(), *auth);
        assert_eq!(serde_json::to_string(auth).unwrap(), format!("\"{}\"", auth.name()));
    }
    assert!("GSSAPI".parse::<Auth>().is_err());
}

#[test]
fn the_cluster_has_no_default() {
    assert_eq!(KafkaConfig::default().problems()[0].0, "kafka.brokers");
    let config: KafkaConfig = serde_json::from_str(r#"{"brokers": "one:9092", "tuning": {"partitions": 6}}"#).unwrap();
    assert_eq!(config.tuning, Tuning { partitions: NonZeroU16::new(6).unwrap(), ..Tuning::default() });
}
