//! What `kennel.yaml` may contain. Checks, JSON Schema, `kennel explain` and the reference are all made from this table.

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
    optional("rest", Kind::List(&Kind::Section(REST), 0), "[]", "REST servers."),
    optional("grpc", Kind::List(&Kind::Section(GRPC), 0), "[]", "gRPC servers."),
    optional(
        "kafka",
        Kind::List(&Kind::Section(KAFKA), 0),
        "[]",
        "Consumers of events. They work with every broker; `BROKER` selects it at run time. Producers need no entry: the domain publishes its events through the outbox.",
    ),
    optional("worker", Kind::List(&Kind::Section(WORKER), 0), "[]", "Background work."),
    required(
        "applications",
        Kind::List(&Kind::Section(APPLICATION), 1),
        "The programs. Each is a scaling unit, and uses at least one transport, consumer or worker.",
    ),
]);

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
    optional("ci", Kind::List(&Kind::Choice(CI), 0), "[]", "CI providers to write a pipeline for."),
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
    required("name", Kind::Name, "Name for `applications[].transport`."),
    optional(
        "generator_type",
        Kind::Choice(&[choice("entity", "Create, get, list and delete the entity.")]),
        "entity",
        "What the API is made from.",
    ),
    optional(
        "port",
        Kind::Integer(1, 65_535),
        "8080",
        "Port of `make run-<application>`: `SERVER_PORT`. Further applications with the server have the next free ports.",
    ),
];

const GRPC: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].transport`."),
    optional(
        "generator_type",
        Kind::Choice(&[choice("entity", "Create, get, list and delete the entity.")]),
        "entity",
        "What the API is made from.",
    ),
    optional(
        "port",
        Kind::Integer(1, 65_535),
        "50051",
        "Port of `make run-<application>`: `GRPC_PORT`. Further applications with the server have the next free ports.",
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
        Kind::Choice(&[choice(
            "consumer",
            "Handles the events of the entity, each at least once; failed ones become dead letters.",
        )]),
        "What it does.",
    ),
];

const WORKER: &[Key] = &[
    required("name", Kind::Name, "Name for `applications[].worker`, and of the component."),
    required(
        "generator_type",
        Kind::Choice(&[
            choice("schedule", "A job that runs at start and then at every interval, in every replica."),
            choice("daemon", "A loop that runs until the process stops."),
        ]),
        "What it does.",
    ),
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
        "The servers that it runs.",
    ),
    optional("kafka", Kind::List(&Kind::Name, 0), "[]", "The consumers that it runs: names of entries of `kafka`."),
    optional(
        "worker",
        Kind::List(&Kind::Name, 0),
        "[]",
        "The background work that it runs: names of entries of `worker`.",
    ),
];

/// Sections and keys of go-project-starter for which nothing is generated yet, by their parent.
pub const PLANNED: &[(&str, &[&str])] = &[
    (
        "",
        &[
            "jsonschema",
            "cli",
            "driver",
            "grafana",
            "packaging",
            "deploy",
            "docker",
            "documentation",
            "artifacts",
            "post_generate",
            "git",
            "tools",
            "ws",
            "consumer",
            "repository",
            "scheduler",
        ],
    ),
    (
        "main",
        &[
            "logger",
            "registry_type",
            "author",
            "skip_service_init",
            "use_active_record",
            "dev_stand",
            "generate_llms_md",
        ],
    ),
    (
        "rest",
        &[
            "path",
            "generator_template",
            "generator_params",
            "version",
            "api_prefix",
            "public_service",
            "health_check_path",
            "auth_params",
            "instantiation",
        ],
    ),
    ("grpc", &["path", "short", "buf_local_plugins", "instantiation"]),
    ("kafka", &["driver", "driver_import", "driver_package", "driver_obj", "client", "group", "events"]),
    ("worker", &["path", "version", "generator_template", "generator_params"]),
    (
        "applications",
        &[
            "driver",
            "cli",
            "deploy",
            "use_active_record",
            "use_envs",
            "depends_on_docker_images",
            "grafana",
            "goat_tests",
            "goat_tests_config",
            "artifacts",
        ],
    ),
];

/// Values of go-project-starter and of the plan for which nothing is generated yet.
pub const PLANNED_VALUES: &[&str] = &[
    "ogen",
    "ogen_client",
    "openapi",
    "template",
    "proto",
    "buf_client",
    "buf_server",
    "producer",
    "telegram",
    "queue",
];
