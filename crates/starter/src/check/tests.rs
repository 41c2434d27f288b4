use super::read;
use crate::config::Config;

const VALID: &str = "\
main:
  name: shop
platform:
  path: ../kennel
entity:
  name: item
rest:
  - name: api
applications:
  - name: shop-api
    transport: [{name: api}]
";

fn problems(text: &str) -> Vec<String> {
    read(text).unwrap_err().iter().map(ToString::to_string).collect()
}

/// The problems of the valid file after a replacement.
fn after(from: &str, to: &str) -> Vec<String> {
    assert!(VALID.contains(from), "{from}");
    problems(&VALID.replace(from, to))
}

#[test]
fn defaults_apply() {
    let config: Config = read(VALID).unwrap();
    assert_eq!((config.entity.plural().as_str(), &config.storage[..]), ("items", &["sqlite".to_owned()][..]));
    assert_eq!(config.rest[0].port, 8080);
}

#[test]
fn all_problems_are_reported_with_positions_and_nearest_names() {
    let text = "\
main:
  name: Shop
  descripton: a
platfrom:
  path: x
entity:
  name: item
storage: [sqlite, postgers]
rest:
  - name: api
    port: 70000
    auth_params: {}
worker:
  - name: report
    generator_type: telegram
driver: []
applications: []
";
    assert_eq!(
        problems(text),
        [
            "1:1: `platform` is missing: where the platform crates are: one of `path`, `git` and `workspace`",
            "2:9: must be lower-case words joined by `-`, such as `shop-api`",
            "3:3: unknown key `descripton`; did you mean `description`?",
            "4:1: unknown key `platfrom`; did you mean `platform`?",
            "8:19: unknown value `postgers`; did you mean `postgres`?",
            "11:11: must be a whole number from 1 to 65535",
            "12:5: nothing is generated for `auth_params` yet; remove it",
            "15:21: nothing is generated for `telegram` yet; must be one of schedule, daemon",
            "16:1: nothing is generated for `driver` yet; remove it",
            "17:15: must have at least 1 element",
        ]
    );
}

#[test]
fn references_are_checked() {
    assert_eq!(
        after("{name: api}", "{name: apii}"),
        ["8:11: no application uses `api`", "11:24: unknown transport `apii`; did you mean `api`?"]
    );
    assert_eq!(
        after("{name: api}", ""),
        ["8:11: no application uses `api`", "10:5: needs at least one transport, consumer or worker"]
    );
    assert_eq!(
        after("name: shop-api", "name: shop-domain"),
        ["10:11: `shop-domain` is the name of another crate of the project"]
    );
    assert_eq!(after("path: ../kennel", "git: x"), ["4:3: `git` and `rev` are only valid together"]);
    assert_eq!(after("path: ../kennel", "{}"), ["4:3: must have exactly one of `path`, `git` and `workspace`"]);
    assert_eq!(after("name: item", "name: event"), ["6:9: `event` has another meaning in the generated code"]);
    let text = format!("{VALID}grpc:\n  - name: api\n");
    assert_eq!(problems(&text), ["13:11: the name `api` is already used in line 8"]);
    assert_eq!(problems(&format!("{VALID}storage: [mysql, mysql]\n")), ["12:18: `mysql` is listed twice"]);
    let text = VALID.replace("rest:\n", "rest:\n  - name: other\n");
    assert_eq!(
        problems(&text),
        ["8:11: no application uses `other`", "9:5: only one entry of `rest` is generated yet; remove it"]
    );
}

#[test]
fn names_of_crates_are_refused() {
    for name in ["std", "anyhow", "async-trait", "serde-json", "kennel-service"] {
        let expected = format!("`{name}` is the name of a crate that the generated code uses");
        assert_eq!(after("name: shop-api", &format!("name: {name}")), [format!("10:11: {expected}")]);
        for section in ["kafka:\n  - type: consumer", "worker:\n  - generator_type: daemon"] {
            let list = section.split(':').next().unwrap();
            let text = format!("{VALID}    {list}: [{name}]\n{section}\n    name: {name}\n");
            assert_eq!(problems(&text), [format!("15:11: {expected}")], "{text}");
        }
    }
    let text =
        format!("{VALID}    worker: [shop-domain]\nworker:\n  - name: shop-domain\n    generator_type: daemon\n");
    assert_eq!(problems(&text), ["14:11: `shop-domain` is the name of a crate that the generated code uses"]);
}

/// `yes`, `0x10`, `1_000`, a quoted number and nothing at all are not what a reader takes them for.
#[test]
fn scalars_are_taken_literally() {
    for invalid in ["'8080'", "0x10", "1_000", "+80", "080", "8080.0", "", "~", "[]"] {
        let text = VALID.replace("- name: api\n", &format!("- name: api\n    port: {invalid}\n"));
        assert_eq!(problems(&text).len(), 1, "{invalid}");
        assert!(problems(&text)[0].starts_with("9:"), "{:?}", problems(&text));
    }
    for invalid in ["yes", "True", "'true'", "1", "false"] {
        assert_eq!(after("path: ../kennel", &format!("workspace: {invalid}")), ["4:14: must be `true`"], "{invalid}");
    }
}

#[test]
fn every_shape_of_value_in_every_position_is_a_problem_and_not_a_panic() {
    for (line, _) in VALID.lines().enumerate() {
        for value in ["x", "[]", "[[]]", "{}", "{a: {}}", "~", "\"\\u0000\"", "[{name: a}, {name: a}]"] {
            let mut lines: Vec<_> = VALID.lines().map(str::to_owned).collect();
            if let Some((key, _)) = lines[line].clone().split_once(':') {
                lines[line] = format!("{key}: {value}");
                let _result = read(&lines.join("\n"));
            }
        }
    }
}
