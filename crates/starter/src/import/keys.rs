//! The keys of a `project.yaml`, and what becomes of each.

use super::Importer;
use crate::check::nearest;
use crate::yaml::{Node, Value};

/// What becomes of a key.
#[derive(Clone, Copy)]
enum Fate {
    /// It is read.
    Read,
    /// Something here does the same, in another way.
    Same(&'static str),
    /// Nothing here does the same.
    Lost(&'static str),
}

use Fate::{Lost, Read, Same};

const PLATFORM: &str = "versions are those of the platform and of its toolchain";
const DEAD: &str = "go-project-starter reads it and never uses it; neither does kennel";
const DOCUMENT: &str = "paths and versions are those of the document, above all of `servers`";
const STARTER: &str = "the code that it would import is written in Go";

/// By section; lists of sections have the keys of their elements.
const SECTIONS: &[(&str, &[(&str, Fate)])] = &[
    (
        "",
        &[
            ("main", Read),
            ("git", Read),
            ("tools", Read),
            ("rest", Read),
            ("grpc", Read),
            ("kafka", Read),
            ("jsonschema", Read),
            ("cli", Read),
            ("worker", Read),
            ("workers", Read),
            ("driver", Read),
            ("drivers", Lost("the key is `driver`: go-project-starter ignores this one")),
            ("applications", Read),
            ("grafana", Same("with `grafana: {}`, dashboards, alerts and data sources are generated")),
            ("artifacts", Lost("add `artifacts` and `packaging` by hand: packages for deb, rpm and apk are generated")),
            ("packaging", Lost("write what you need of it for packages by hand")),
            ("documentation", Lost("no site is generated: applications show their documents at `/documentation`")),
            ("docker", Lost("image names are those of CI")),
            ("deploy", Lost("logs go to the standard output: the log driver is a setting of the container engine")),
            ("post_generate", Same("`kennel generate` runs only the steps that its own `post_generate` lists")),
            ("scheduler", Same(DEAD)),
            ("repository", Same(DEAD)),
            ("ws", Same(DEAD)),
            ("consumer", Same(DEAD)),
        ],
    ),
    (
        "main",
        &[
            ("name", Read),
            ("ci", Read),
            ("use_active_record", Same("the store is PostgreSQL; queries are written by hand, without a mapper")),
            ("logger", Same("logs are written by the platform: `LOG_FORMAT` and `LOG_LEVEL`")),
            ("registry_type", Same("`kennel setup ci` asks for the registry")),
            ("author", Same("generated files name no author")),
            ("skip_service_init", Lost("the domain and its service are always generated")),
            ("dev_stand", Same("the servers for development are those of the generated project")),
            ("generate_llms_md", Lost("no such file is generated")),
        ],
    ),
    (
        "git",
        &[
            ("repo", Same("`kennel setup ci` asks for the repository")),
            ("module_path", Same("crates have no module path")),
            ("private_repos", Lost("private crates are configured in `.cargo/config.toml`")),
        ],
    ),
    (
        "tools",
        &[
            ("golang_version", Same(PLATFORM)),
            ("ogen_version", Same(PLATFORM)),
            ("argen_version", Same(PLATFORM)),
            ("golangci_version", Same(PLATFORM)),
            ("protobuf_version", Same(PLATFORM)),
            ("buf_version", Same(PLATFORM)),
            ("go_jsonschema_version", Same(PLATFORM)),
            ("runtime_version", Same(PLATFORM)),
            ("goat_version", Same(PLATFORM)),
            ("goat_services_version", Same(PLATFORM)),
        ],
    ),
    (
        "rest",
        &[
            ("name", Read),
            ("path", Read),
            ("generator_type", Read),
            ("generator_template", Read),
            ("port", Read),
            ("auth_params", Read),
            ("generator_params", Same("who may call an operation is in its document: `security`")),
            ("version", Same(DOCUMENT)),
            ("api_prefix", Same(DOCUMENT)),
            ("public_service", Lost("what is reachable from outside is decided where the service is deployed")),
            ("health_check_path", Same("every application has `/ready` and `/live` on its own port")),
            ("instantiation", Read),
        ],
    ),
    ("rest.auth_params", &[("transport", Read), ("type", Read)]),
    (
        "grpc",
        &[
            ("name", Read),
            ("path", Read),
            ("port", Read),
            ("generator_type", Read),
            ("short", Same("names are those of the protobuf file")),
            ("buf_local_plugins", Same("protobuf is compiled by the build, without other programs")),
            ("public_service", Lost("what is reachable from outside is decided where the service is deployed")),
            ("empty_config_available", Lost("a client needs the address of its server")),
            ("instantiation", Read),
        ],
    ),
    (
        "kafka",
        &[
            ("name", Read),
            ("type", Read),
            ("events", Read),
            ("driver", Read),
            ("driver_import", Lost(STARTER)),
            ("driver_package", Lost(STARTER)),
            ("driver_obj", Lost(STARTER)),
            ("client", Same("an application has one broker, which `BROKER` selects")),
            ("group", Same("the group has the names of the application and of the consumer")),
        ],
    ),
    ("kafka.events", &[("name", Read), ("schema", Read)]),
    (
        "jsonschema",
        &[("name", Read), ("schemas", Read), ("path", Read), ("package", Same("the module has the name of the entry"))],
    ),
    ("jsonschema.schemas", &[("id", Read), ("path", Read), ("type", Same("the type has the name of the schema"))]),
    (
        "cli",
        &[
            ("name", Read),
            ("path", Read),
            ("generator_type", Read),
            ("generator_template", Read),
            ("generator_params", Lost("there are no parameters")),
        ],
    ),
    (
        "worker",
        &[
            ("name", Read),
            ("path", Read),
            ("generator_type", Read),
            ("generator_template", Read),
            ("generator_params", Lost("there are no parameters")),
            ("version", Same("workers have no version")),
        ],
    ),
    (
        "driver",
        &[
            ("name", Read),
            ("import", Read),
            ("package", Read),
            ("obj_name", Read),
            ("service_injection", Lost("it is code in Go: the driver is a public field of `App`")),
        ],
    ),
    (
        "applications",
        &[
            ("name", Read),
            ("transport", Read),
            ("kafka", Read),
            ("driver", Read),
            ("worker", Read),
            ("workers", Read),
            ("cli", Read),
            ("deploy", Lost("volumes are those of the place where it is deployed")),
            ("use_active_record", Same("all applications use the store of the project")),
            ("use_envs", Same("settings are environment variables always")),
            ("depends_on_docker_images", Lost("add them to the Compose file")),
            ("grafana", Same("dashboards, alerts and data sources are generated for what the application uses")),
            ("goat_tests", Same("the application has an integration test that starts the program")),
            ("goat_tests_config", Same("the application has an integration test that starts the program")),
            ("artifacts", Lost("add `artifacts` and `packaging` by hand: packages for deb, rpm and apk are generated")),
        ],
    ),
    ("applications.transport", &[("name", Read), ("config", Read)]),
    ("applications.transport.config", &[("instantiation", Read), ("optional", Read)]),
    ("applications.kafka", &[("name", Read), ("optional", Read)]),
    ("applications.driver", &[("name", Read), ("params", Lost("it is code in Go")), ("optional", Read)]),
];

/// Adds a finding for each key that is not read.
pub(super) fn check(node: &Node, path: &str, importer: &mut Importer) {
    match &node.value {
        Value::List(elements) => {
            for element in elements {
                check(element, path, importer);
            }
        }
        Value::Map(entries) => {
            let Some((_, known)) = SECTIONS.iter().find(|(section, _)| *section == path) else { return };
            for (key, value) in entries {
                let Some((_, fate)) = known.iter().find(|(name, _)| *name == key.name) else {
                    let names: Vec<_> = known.iter().map(|(name, _)| *name).collect();
                    let near = nearest(&key.name, &names);
                    let hint = near.map(|near| format!(": did you mean `{near}`?")).unwrap_or_default();
                    let message = format!("go-project-starter does not know `{}`, and ignores it{hint}", key.name);
                    importer.add(key.position, message, true);
                    continue;
                };
                // The documentation has the plural of some.
                let name = if key.name == "workers" { "worker" } else { &key.name };
                let below = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                match fate {
                    _ if is_unset(value) => {}
                    Read => check(value, &below, importer),
                    Same(reason) => importer.add(key.position, format!("`{}`: {reason}", key.name), false),
                    Lost(reason) => importer.add(key.position, format!("`{}`: {reason}", key.name), true),
                }
            }
        }
        Value::Scalar(..) => {}
    }
}

/// Whether the file says the same without the value.
fn is_unset(node: &Node) -> bool {
    match &node.value {
        Value::List(elements) => elements.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Scalar(..) => node.is_null() || node.boolean() == Some(false),
    }
}
