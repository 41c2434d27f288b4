//! What `kennel.yaml` may contain. Checks, JSON Schema, `kennel explain` and the reference are all made from this table.

mod surroundings;

use surroundings::{ARTIFACT, DEPLOY, GRAFANA, PACKAGING, POST_GENERATE};

/// One key of a section.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The key.
    pub name: &'static str,
    /// What it is, in full sentences.
    pub doc: &'static str,
    /// What its value has to be.
    pub kind: Kind,
    /// Whether the section is invalid without it.
    pub required: bool,
    /// The default, as YAML; empty if there is none.
    pub default: &'static str,
}

/// What a value has to be.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    /// Text in one line that is not blank.
    Text,
    /// Text with the pattern of [`NAME_PATTERN`].
    Name,
    /// Text with the pattern of [`WORD_PATTERN`].
    Word,
    /// Text with the pattern of [`DURATION_PATTERN`].
    Duration,
    /// True.
    True,
    /// True or false.
    Boolean,
    /// A text, a number or a truth value in one line.
    Scalar,
    /// A whole number in a range.
    Integer(u32, u32),
    /// One of these texts.
    Choice(&'static [Choice]),
    /// A list, with at least this number of elements.
    List(&'static Kind, usize),
    /// A mapping with these keys.
    Section(&'static [Key]),
}

/// A text that a [`Kind::Choice`] accepts.
#[derive(Debug, Clone, Copy)]
pub struct Choice {
    /// The text.
    pub value: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// Of projects, applications, transports, workers: they become names of crates, programs and modules.
pub const NAME_PATTERN: &str = "^[a-z][a-z0-9]*(-[a-z0-9]+)*$";
/// Of entities: they become types, fields and tables.
pub const WORD_PATTERN: &str = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$";
/// Of intervals.
pub const DURATION_PATTERN: &str = "^[1-9][0-9]{0,4}(s|m|h)$";
/// Length of names and words; longer ones exceed the limits of table and topic names in some backend.
pub const MAX_NAME: usize = 40;

const fn required(name: &'static str, kind: Kind, doc: &'static str) -> Key {
    Key { name, doc, kind, required: true, default: "" }
}

const fn optional(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, doc, kind, required: false, default }
}

const fn choice(value: &'static str, doc: &'static str) -> Choice {
    Choice { value, doc }
}

/// The stores, as named in `storage`, in Cargo features and in `STORAGE`.
pub const STORES: [&str; 4] = ["sqlite", "postgres", "mysql", "clickhouse"];

/// The whole file.
pub const ROOT: Kind = Kind::Section(&[
    required("main", Kind::Section(MAIN), "The project."),
    required(
        "platform",
        Kind::Section(PLATFORM),
        "Where the platform crates are: one of `path`, `git` and `workspace`.",
    ),
    required(
        "entity",
        Kind::Section(ENTITY),
        "What the project stores and serves. The generated domain has one entity with an id, a text and a time; it is the place to continue from.",
    ),
    optional(
        "storage",
        Kind::List(&Kind::Choice(STORE), 1),
        "[sqlite]",
        "The stores that the applications can be built with. The first one is the default; `STORAGE` selects another one at run time, if the Cargo feature of its name is enabled.",
    ),
    optional("rest", Kind::List(&Kind::Section(REST), 0), "[]", "REST servers and clients."),
    optional("grpc", Kind::List(&Kind::Section(GRPC), 0), "[]", "gRPC servers and clients."),
    optional(
        "kafka",
        Kind::List(&Kind::Section(KAFKA), 0),
        "[]",
        "Consumers and producers of events. They work with every broker; `BROKER` selects it at run time. The events of the entity need no producer: the domain publishes them through the outbox.",
    ),
    optional("cli", Kind::List(&Kind::Section(CLI), 0), "[]", "Command lines."),
    optional("jsonschema", Kind::List(&Kind::Section(JSONSCHEMA), 0), "[]", "JSON Schemas of the data of events."),
    optional("worker", Kind::List(&Kind::Section(WORKER), 0), "[]", "Background work."),
    optional("driver", Kind::List(&Kind::Section(DRIVER), 0), "[]", "Connections of applications to something else."),
    required(
        "applications",
        Kind::List(&Kind::Section(APPLICATION), 1),
        "The programs. Each is a scaling unit, and uses at least one transport, consumer or worker, or is a command line.",
    ),
    optional(
        "grafana",
        Kind::Section(GRAFANA),
        "",
        "A dashboard of each application, and alerts, for Grafana and Prometheus: `infra/`. `{}` is enough.",
    ),
    optional("deploy", Kind::Section(DEPLOY), "", "How the applications are deployed."),
    optional(
        "packaging",
        Kind::Section(PACKAGING),
        "",
        "What the packages of `applications[].artifacts` have in common: `packaging/`, for nfpm, with hardened units of systemd.",
    ),
    optional(
        "post_generate",
        Kind::List(&Kind::Choice(POST_GENERATE), 0),
        "[]",
        "What `kennel new` runs after it has written files, and `kennel generate` if it has written some: in this order. Nothing else is run.",
    ),
]);

/// A file of the tasks of a queue.
pub const QUEUE: Kind = Kind::Section(&[required("queues", Kind::List(&Kind::Section(TASK), 1), "The tasks.")]);

/// A file of commands.
pub const COMMANDS: Kind =
    Kind::Section(&[required("commands", Kind::List(&Kind::Section(COMMAND), 1), "The commands.")]);

const MAIN: &[Key] = &[
    required(
        "name",
        Kind::Name,
        "Name of the project: prefix of its crates, name of its topic and of its protobuf package.",
    ),
    optional(
        "description",
        Kind::Text,
        "",
        "One sentence about the project, for its README and the help of its programs.",
    ),
    optional(
        "live_settings",
        Kind::True,
        "",
        "Servers and workers have settings that change without a restart, from a file or a bucket of NATS: `LIVE_SETTINGS`. Such as `<application>/transport/rest/<name>/timeout`.",
    ),
    optional("ci", Kind::List(&Kind::Choice(CI), 0), "[]", "CI providers to write a pipeline for."),
    optional(
        "dev_stand",
        Kind::True,
        "",
        "Containers for developers, by Docker Compose: the stores of `storage`, brokers, Traefik, and Grafana with Prometheus, Loki and Tempo. It has what `grafana` has.",
    ),
];

const CI: &[Choice] =
    &[choice("github", "GitHub Actions: `.github/workflows/ci.yml`."), choice("gitlab", "GitLab: `.gitlab-ci.yml`.")];

const PLATFORM: &[Key] = &[
    optional("path", Kind::Text, "", "Folder of a clone of Kennel, relative to the project or absolute."),
    optional("git", Kind::Text, "", "URL of a Git repository with Kennel. `rev` is required with it."),
    optional("rev", Kind::Text, "", "The commit of the Git repository."),
    optional(
        "workspace",
        Kind::True,
        "",
        "The project's crates are members of a Cargo workspace around it that has the platform, its dependencies and its lints, such as that of Kennel. Files of a workspace, such as `Cargo.toml`, Makefile and CI, are not generated.",
    ),
];

const ENTITY: &[Key] = &[
    required("name", Kind::Word, "Name of one, such as `item` or `order_line`."),
    optional(
        "plural",
        Kind::Word,
        "",
        "Name of several, if it is not the name with an `s`: `category` has `categories`.",
    ),
];

const STORE: &[Choice] = &[
    choice("sqlite", "SQLite, embedded: no server is needed."),
    choice("postgres", "PostgreSQL."),
    choice("mysql", "MySQL or MariaDB."),
    choice("clickhouse", "ClickHouse."),
];

const REST: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].transport`, and of the module of an OpenAPI document."),
    optional(
        "generator_type",
        Kind::Choice(&[
            choice("entity", "A server: create, get, list and delete the entity."),
            choice("openapi", "A server for the OpenAPI document `path`; `crates/domain` implements its operations."),
            choice("openapi_client", "A client for the OpenAPI document `path`, and a mock of its server for tests."),
        ]),
        "entity",
        "What the API is made from.",
    ),
    optional(
        "path",
        Kind::Text,
        "",
        "The OpenAPI document, version 3.0 or 3.1, in YAML or JSON: a path below the folder of `kennel.yaml`.",
    ),
    optional(
        "port",
        Kind::Integer(1, 65_535),
        "8080",
        "Port of `make run-<application>`: `SERVER_PORT`. Servers need different ports. Further applications with the server have the next free ports.",
    ),
    optional(
        "auth_params",
        Kind::Section(AUTH),
        "",
        "How a client authenticates. The credential is the setting `<NAME>_API_CREDENTIAL`.",
    ),
];

const AUTH: &[Key] = &[
    required("transport", Kind::Choice(&[choice("header", "In a header.")]), "Where the credential is."),
    required(
        "type",
        Kind::Choice(&[
            choice("apikey", "A key in the header `name`."),
            choice("bearer", "A bearer token in the header `Authorization`."),
        ]),
        "What the credential is.",
    ),
    optional("name", Kind::Text, "X-API-Key", "The header of an `apikey`."),
];

const GRPC: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].transport`."),
    optional(
        "generator_type",
        Kind::Choice(&[
            choice("entity", "A server: create, get, list and delete the entity."),
            choice(
                "proto",
                "A server for the services of the protobuf file `path`; `crates/transport` implements them.",
            ),
            choice("proto_client", "A client for the service of the protobuf file `path`."),
        ]),
        "entity",
        "What the API is made from.",
    ),
    optional(
        "path",
        Kind::Text,
        "",
        "The protobuf file: a path below `proto/`, which is also the root of its imports.",
    ),
    optional(
        "port",
        Kind::Integer(1, 65_535),
        "50051",
        "Port of `make run-<application>`: `GRPC_PORT`. Servers need different ports. Further applications with the server have the next free ports.",
    ),
];

const KAFKA: &[Key] = &[
    required(
        "name",
        Kind::Name,
        "Name for `applications[].kafka`, and of the consumer group, after that of the application.",
    ),
    required(
        "type",
        Kind::Choice(&[
            choice(
                "consumer",
                "Handles events, each at least once; failed ones become dead letters. Without `events`, those of the entity.",
            ),
            choice("producer", "Publishes the `events`, for the operations of an `openapi` server."),
        ]),
        "What it does.",
    ),
    optional("topic", Kind::Text, "", "The topic of the `events`, such as `shop.orders`."),
    optional("events", Kind::List(&Kind::Section(EVENT), 1), "", "The events, each with the schema of its data."),
];

const EVENT: &[Key] = &[
    required("name", Kind::Text, "The type of the event, such as `orders.paid`."),
    required(
        "schema",
        Kind::Text,
        "The schema of its data: the name of an entry of `jsonschema` and the id of a schema, such as `events.order-paid`.",
    ),
];

const TASK: &[Key] = &[
    required("name", Kind::Name, "Name of the task, of its type and of its function."),
    optional("description", Kind::Text, "", "What it does."),
    optional(
        "key",
        Kind::Word,
        "",
        "A field: tasks with the same value run in order. Without it, they run in any order.",
    ),
    optional("fields", Kind::List(&Kind::Section(FIELD), 0), "[]", "Its data."),
];

const FIELD: &[Key] = &[
    required("name", Kind::Word, "Name of the field."),
    required(
        "type",
        Kind::Choice(&[
            choice("string", "A text."),
            choice("int", "A whole number of 64 bits."),
            choice("int64", "The same."),
            choice("float64", "A number."),
            choice("bool", "A truth value."),
            choice("[]byte", "Bytes."),
            choice("[]string", "Texts."),
            choice("[]int", "Whole numbers."),
            choice("[]int64", "The same."),
        ]),
        "What its value is.",
    ),
];

const DRIVER: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].driver`, and of the field."),
    required(
        "generator_type",
        Kind::Choice(&[
            choice("s3", "An object store: files of a folder, or S3. An application has one."),
            choice("telegram", "A Telegram bot that sends. Its token is the setting `<NAME>_TELEGRAM_TOKEN`."),
            choice(
                "custom",
                "A component of yours: it is connected before servers and workers, and closed after them.",
            ),
        ]),
        "What it is connected to.",
    ),
];

const CLI: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].cli`, and of the module."),
    required(
        "path",
        Kind::Text,
        "The file of the commands, in YAML or JSON: a path below the folder of `kennel.yaml`.",
    ),
];

const COMMAND: &[Key] = &[
    required("name", Kind::Name, "Name of the command."),
    required("description", Kind::Text, "What it does, for its help."),
    optional("flags", Kind::List(&Kind::Section(FLAG), 0), "[]", "Its flags."),
    optional(
        "subcommands",
        Kind::List(&Kind::Section(SUBCOMMAND), 1),
        "",
        "Its commands: it has either these or flags.",
    ),
];

const SUBCOMMAND: &[Key] = &[
    required("name", Kind::Name, "Name of the command, after that of its group."),
    required("description", Kind::Text, "What it does, for its help."),
    optional("flags", Kind::List(&Kind::Section(FLAG), 0), "[]", "Its flags."),
];

const FLAG: &[Key] = &[
    required("name", Kind::Name, "Name of the flag: `dry-run` is `--dry-run`."),
    required(
        "type",
        Kind::Choice(&[
            choice("string", "A text."),
            choice("int", "A whole number of 64 bits."),
            choice("float64", "A number."),
            choice("bool", "A switch; with a default, or if it is required, `true` or `false`."),
            choice("duration", "A duration such as `30s`, `250ms` or `1h 30m`."),
        ]),
        "What its value is.",
    ),
    optional("required", Kind::Boolean, "false", "Whether the command needs it."),
    optional("default", Kind::Scalar, "", "Its value if it is not given."),
    required("description", Kind::Text, "What it means, for the help."),
];

const JSONSCHEMA: &[Key] = &[
    required("name", Kind::Name, "Name for `kafka[].events[].schema`, and of the module."),
    required("schemas", Kind::List(&Kind::Section(SCHEMA), 1), "The schemas."),
];

const SCHEMA: &[Key] = &[
    required("id", Kind::Name, "Name for `kafka[].events[].schema`, of the type and of the module."),
    required("path", Kind::Text, "The JSON Schema, in JSON or YAML: a path below the folder of `kennel.yaml`."),
    required(
        "key",
        Kind::Text,
        "The required property by which events are ordered, such as `order_id`: those with one value arrive in order.",
    ),
];

const WORKER: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].worker`, and of the component."),
    required(
        "generator_type",
        Kind::Choice(&[
            choice("schedule", "A job that runs at start and then at every interval, in every replica."),
            choice("daemon", "A loop that runs until the process stops."),
            choice("queue", "Runs tasks that were added before, each at least once; failed ones become dead letters."),
            choice(
                "telegram",
                "A Telegram bot that polls for messages. Its token is the setting `<NAME>_TELEGRAM_TOKEN`; one process may run it.",
            ),
        ]),
        "What it does.",
    ),
    optional("path", Kind::Text, "", "The file of the tasks of a queue: a path below the folder of `kennel.yaml`."),
    optional(
        "interval",
        Kind::Duration,
        "1h",
        "How often a schedule runs, or how long a daemon waits between two rounds: such as `30s`, `5m` or `1h`.",
    ),
];

const APPLICATION: &[Key] = &[
    required("name", Kind::Name, "Name of its crate and program."),
    optional(
        "transport",
        Kind::List(&Kind::Section(&[required("name", Kind::Name, "Name of an entry of `rest` or `grpc`.")]), 0),
        "[]",
        "The servers that it runs, one of `rest` and one of `grpc`, and the clients that they use.",
    ),
    optional(
        "kafka",
        Kind::List(&Kind::Name, 0),
        "[]",
        "The consumers that it runs, and the producers that it has: names of entries of `kafka`.",
    ),
    optional(
        "worker",
        Kind::List(&Kind::Name, 0),
        "[]",
        "The background work that it runs: names of entries of `worker`.",
    ),
    optional(
        "queue",
        Kind::List(&Kind::Name, 0),
        "[]",
        "The queues to which its `openapi` server or its commands add tasks: names of entries of `worker` of the type `queue`.",
    ),
    optional(
        "driver",
        Kind::List(&Kind::Name, 0),
        "[]",
        "The drivers that it has: names of entries of `driver`. Each is a public field of `App`; your code in `build` and `workers` passes it to what needs it.",
    ),
    optional(
        "cli",
        Kind::Name,
        "",
        "The command line that it is: the name of an entry of `cli`. Such an application has no transport, consumer or worker.",
    ),
    optional(
        "artifacts",
        Kind::List(&Kind::Choice(ARTIFACT), 0),
        "[]",
        "The formats of its packages. A command line has no packages.",
    ),
];

/// Sections and keys of go-project-starter for which nothing is generated yet, by their parent.
pub const PLANNED: &[(&str, &[&str])] = &[
    ("", &["docker", "documentation", "git", "tools", "ws", "consumer", "repository", "scheduler"]),
    ("main", &["logger", "registry_type", "author", "skip_service_init", "use_active_record", "generate_llms_md"]),
    (
        "rest",
        &[
            "generator_template",
            "generator_params",
            "version",
            "api_prefix",
            "public_service",
            "health_check_path",
            "instantiation",
        ],
    ),
    ("grpc", &["short", "buf_local_plugins", "instantiation"]),
    ("kafka", &["driver", "driver_import", "driver_package", "driver_obj", "client", "group"]),
    ("worker", &["version", "generator_template", "generator_params"]),
    ("driver", &["import", "package", "obj_name", "service_injection"]),
    (
        "applications",
        &[
            "deploy",
            "use_active_record",
            "use_envs",
            "depends_on_docker_images",
            "grafana",
            "goat_tests",
            "goat_tests_config",
        ],
    ),
];

/// Values of go-project-starter and of the plan for which nothing is generated yet.
pub const PLANNED_VALUES: &[&str] = &["ogen", "ogen_client", "template", "buf_client", "buf_server", "producer"];
