//! The files of a project, and what each is made from.

use crate::config::{Application, Config, DriverKind, GrpcKind, KafkaKind, RestKind, Worker, WorkerKind};

/// A file of every project that needs it. Paths and texts contain the words of notes and variables in `«»`.
pub(crate) struct Template {
    /// Where it is in the project. Identifies the file when its path changes with a name.
    pub(crate) path: &'static str,
    pub(crate) source: Source,
    pub(crate) needs: fn(&Config) -> bool,
}

/// What a file is made from.
pub(crate) enum Source {
    /// A file of `examples/notes`, with these replacements, each of which has to occur.
    Notes(&'static str, &'static [(&'static str, &'static str)]),
    /// A file in `templates/`.
    Own(&'static str),
}

macro_rules! notes {
    ($file:literal) => { notes!($file, []) };
    ($file:literal, [$($replacement:expr),* $(,)?]) => {
        Source::Notes(include_str!(concat!("../../../", $file)), &[$($replacement),*])
    };
}

macro_rules! own {
    ($file:literal) => {
        Source::Own(include_str!(concat!("../templates/", $file)))
    };
}

const fn template(path: &'static str, source: Source, needs: fn(&Config) -> bool) -> Template {
    Template { path, source, needs }
}

fn always(_: &Config) -> bool {
    true
}

fn sqlite(config: &Config) -> bool {
    config.has_store("sqlite")
}

fn postgres(config: &Config) -> bool {
    config.has_store("postgres")
}

fn mysql(config: &Config) -> bool {
    config.has_store("mysql")
}

fn sql(config: &Config) -> bool {
    sqlite(config) || postgres(config) || mysql(config)
}

fn clickhouse(config: &Config) -> bool {
    config.has_store("clickhouse")
}

fn rest(config: &Config) -> bool {
    config.rest_kind(RestKind::Entity).next().is_some()
}

fn openapi(config: &Config) -> bool {
    config.rest_kind(RestKind::Openapi).next().is_some()
}

fn clients(config: &Config) -> bool {
    config.rest_kind(RestKind::OpenapiClient).next().is_some()
}

fn contracts(config: &Config) -> bool {
    openapi(config) || clients(config) || !config.jsonschema.is_empty()
}

fn grpc(config: &Config) -> bool {
    config.grpc_kind(GrpcKind::Entity).next().is_some()
}

fn proto(config: &Config) -> bool {
    !config.grpc.is_empty()
}

fn proto_server(config: &Config) -> bool {
    config.grpc_kind(GrpcKind::Proto).next().is_some()
}

fn transport(config: &Config) -> bool {
    rest(config) || grpc(config) || openapi(config) || proto_server(config) || !config.cli.is_empty()
}

fn workers(config: &Config) -> bool {
    config.kafka.iter().any(|kafka| kafka.kind == KafkaKind::Consumer) || !config.worker.is_empty()
}

fn drivers(config: &Config) -> bool {
    config.driver.iter().any(|driver| driver.generator_type == DriverKind::Custom)
}

fn own_workspace(config: &Config) -> bool {
    !config.platform.workspace
}

/// The image is that of a service.
fn image(config: &Config) -> bool {
    config.platform.git.is_some() && config.services().next().is_some()
}

fn dev_stand(config: &Config) -> bool {
    config.main.dev_stand
}

fn github(config: &Config) -> bool {
    config.main.ci.iter().any(|provider| provider == "github")
}

fn gitlab(config: &Config) -> bool {
    config.main.ci.iter().any(|provider| provider == "gitlab")
}

/// The domain's names in the files of notes.
const DOMAIN: (&str, &str) = ("\nuse crate::domain::", "use «ident»_domain::");
const TESTED_DOMAIN: (&str, &str) = ("notes::domain::", "«ident»_domain::");

/// The modules of the domain that implement the operations of documents.
const IMPLEMENTATIONS: (&str, &str) = (
    "use std::fmt;",
    "«% if implementations %»«% for module in implementations %»pub mod «module»;\n«% endfor %»\n«% endif %»use std::fmt;",
);

/// The files of a project, without those of applications and workers.
pub(crate) const PROJECT: &[Template] = &[
    template(".gitignore", own!("root/gitignore"), own_workspace),
    template(".dockerignore", own!("root/dockerignore"), image),
    template(".env", own!("root/env"), always),
    template(".env-docker", own!("docker/env"), dev_stand),
    template("docker/with-servers", own!("docker/with-servers"), dev_stand),
    template(".github/workflows/ci.yml", own!("root/github.yml"), github),
    template(".gitlab-ci.yml", own!("root/gitlab.yml"), gitlab),
    template("Dockerfile", own!("root/Dockerfile"), image),
    template("Makefile", own!("root/Makefile"), own_workspace),
    template("README.md", own!("root/README.md"), always),
    template("rustfmt.toml", Source::Own(crate::rustfmt::SETTINGS), own_workspace),
    template("clippy.toml", Source::Own(include_str!("../../../clippy.toml")), own_workspace),
    template("crates/domain/Cargo.toml", own!("domain/Cargo.toml"), always),
    template(
        "crates/domain/src/lib.rs",
        notes!(
            "examples/notes/src/domain.rs",
            [("\"notes.events\"", "\"«project».events\""), ("\"/notes\"", "\"/«project»\""), IMPLEMENTATIONS]
        ),
        always,
    ),
    template("crates/storages/Cargo.toml", own!("storages/Cargo.toml"), always),
    template(
        "crates/storages/src/lib.rs",
        notes!("examples/notes/src/repository.rs", [DOMAIN, ("migrations/notes\"", "migrations\""),]),
        always,
    ),
    template("crates/storages/src/sql.rs", notes!("examples/notes/src/repository/sql.rs", [DOMAIN]), sql),
    template(
        "crates/storages/src/clickhouse.rs",
        notes!("examples/notes/src/repository/clickhouse.rs", [DOMAIN]),
        clickhouse,
    ),
    template("crates/storages/tests/conformance/main.rs", notes!("examples/notes/tests/conformance/main.rs"), always),
    template(
        "crates/storages/tests/conformance/cases.rs",
        notes!("examples/notes/tests/conformance/cases.rs", [TESTED_DOMAIN]),
        always,
    ),
    template(
        "crates/storages/tests/conformance/service.rs",
        notes!("examples/notes/tests/conformance/service.rs", [TESTED_DOMAIN]),
        always,
    ),
    template(
        "crates/storages/tests/conformance/store.rs",
        notes!(
            "examples/notes/tests/conformance/store.rs",
            [
                TESTED_DOMAIN,
                ("notes::repository::{self, MIGRATIONS}", "«ident»_storages::{self as repository, MIGRATIONS}"),
                ("<notes::Notes as kennel_service::Service>::NAME", "\"«project»\""),
            ]
        ),
        always,
    ),
    template("migrations/sqlite/0002_notes.up.sql", notes!("migrations/notes/sqlite/0002_notes.up.sql"), sqlite),
    template("migrations/sqlite/0002_notes.down.sql", notes!("migrations/notes/sqlite/0002_notes.down.sql"), sqlite),
    template("migrations/postgres/0002_notes.up.sql", notes!("migrations/notes/postgres/0002_notes.up.sql"), postgres),
    template(
        "migrations/postgres/0002_notes.down.sql",
        notes!("migrations/notes/postgres/0002_notes.down.sql"),
        postgres,
    ),
    template("migrations/mysql/0002_notes.up.sql", notes!("migrations/notes/mysql/0002_notes.up.sql"), mysql),
    template("migrations/mysql/0002_notes.down.sql", notes!("migrations/notes/mysql/0002_notes.down.sql"), mysql),
    template(
        "migrations/clickhouse/0002_notes.up.sql",
        notes!("migrations/notes/clickhouse/0002_notes.up.sql"),
        clickhouse,
    ),
    template(
        "migrations/clickhouse/0002_notes.down.sql",
        notes!("migrations/notes/clickhouse/0002_notes.down.sql"),
        clickhouse,
    ),
    template(
        "proto/«ident»/v1/note.proto",
        notes!("proto/notes/v1/note.proto", [("package notes.v1", "package «ident».v1")]),
        grpc,
    ),
    template(
        "proto/«ident»/v1/note_service.proto",
        notes!(
            "proto/notes/v1/note_service.proto",
            [("package notes.v1", "package «ident».v1"), ("\"notes/v1/", "\"«ident»/v1/"),]
        ),
        grpc,
    ),
    template("crates/proto/Cargo.toml", own!("proto/Cargo.toml"), proto),
    template("crates/proto/build.rs", own!("proto/build.rs"), proto),
    template("crates/proto/src/lib.rs", own!("proto/src/lib.rs"), proto),
    template("crates/transport/Cargo.toml", own!("transport/Cargo.toml"), transport),
    template("crates/transport/src/lib.rs", own!("transport/src/lib.rs"), transport),
    template("crates/transport/src/http.rs", own!("transport/src/http.rs"), rest),
    template("crates/transport/src/grpc.rs", own!("transport/src/grpc.rs"), grpc),
    template("crates/contracts/Cargo.toml", own!("contracts/Cargo.toml"), contracts),
    template("crates/contracts/src/lib.rs", own!("contracts/src/lib.rs"), contracts),
    template("crates/clients/Cargo.toml", own!("clients/Cargo.toml"), clients),
    template("crates/clients/src/lib.rs", own!("clients/src/lib.rs"), clients),
    template("crates/drivers/Cargo.toml", own!("drivers/Cargo.toml"), drivers),
    template("crates/drivers/src/lib.rs", own!("drivers/src/lib.rs"), drivers),
    template("crates/workers/Cargo.toml", own!("workers/Cargo.toml"), workers),
    template("crates/workers/src/lib.rs", own!("workers/src/lib.rs"), workers),
];

/// The files of each application.
const APPLICATION: &[Template] = &[
    template("apps/«app»/Cargo.toml", own!("app/Cargo.toml"), always),
    template("apps/«app»/src/lib.rs", own!("app/src/lib.rs"), always),
    template("apps/«app»/src/main.rs", own!("app/src/main.rs"), always),
];

const SERVICE_TEST: Template = template("apps/«app»/tests/service.rs", own!("app/tests/service.rs"), always);
const COMMANDS_TEST: Template = template("apps/«app»/tests/commands.rs", own!("app/tests/commands.rs"), always);
const SETTINGS: Template = template("apps/«app»/src/settings.rs", own!("app/src/settings.rs"), always);

/// The files of an application. One that calls other servers has settings.
pub(crate) fn of_application(config: &Config, app: &Application) -> impl Iterator<Item = &'static Template> {
    let test = if app.cli.is_some() { &COMMANDS_TEST } else { &SERVICE_TEST };
    APPLICATION.iter().chain([test]).chain(config.has_settings(app).then_some(&SETTINGS))
}

/// The files of each command line.
pub(crate) const COMMAND_LINE: &[Template] = &[
    template("crates/transport/src/«module».rs", own!("transport/src/cli.rs"), always),
    template("crates/transport/src/«module»/commands.rs", own!("transport/src/cli/commands.rs"), always),
];

/// The files of a Helm chart.
pub(crate) const CHART: &[Template] = &[
    template("infra/helm/«project»/Chart.yaml", own!("helm/Chart.yaml"), always),
    template("infra/helm/«project»/values.yaml", own!("helm/values.yaml"), always),
    template("infra/helm/«project»/values.schema.json", own!("helm/values.schema.json"), always),
];

pub(crate) const CHART_PROGRAM: Template =
    template("infra/helm/«project»/templates/«app».yaml", own!("helm/app.yaml"), always);

/// The settings and the description of a package.
pub(crate) const PACKAGE: &[Template] = &[
    template("packaging/«app»/settings.env", own!("packaging/settings.env"), always),
    template("packaging/«app»/nfpm.yaml", own!("packaging/nfpm.yaml"), always),
];

/// What a package with a unit of systemd has.
pub(crate) const UNIT: &[Template] = &[
    template("packaging/«app»/«app».service", own!("packaging/unit.service"), always),
    template("packaging/«app»/postinstall.sh", own!("packaging/postinstall.sh"), always),
    template("packaging/«app»/preremove.sh", own!("packaging/preremove.sh"), always),
    template("packaging/«app»/postremove.sh", own!("packaging/postremove.sh"), always),
];

const IMPLEMENTATION: Template = template("crates/domain/src/«module».rs", own!("domain/src/api.rs"), always);

pub(crate) fn implementation() -> &'static Template {
    &IMPLEMENTATION
}

const PRODUCER: Template = template("crates/domain/src/«module».rs", own!("domain/src/producer.rs"), always);

/// A producer of events with schemas.
pub(crate) fn producer() -> &'static Template {
    &PRODUCER
}

const TYPED_CONSUMER: Template = template(WORKER_PATH, own!("workers/src/typed_consumer.rs"), always);

/// A consumer of events with schemas.
pub(crate) fn typed_consumer() -> &'static Template {
    &TYPED_CONSUMER
}

const SERVICES: Template = template("crates/transport/src/«module».rs", own!("transport/src/services.rs"), always);

/// The implementation of the services of a protobuf file.
pub(crate) fn services() -> &'static Template {
    &SERVICES
}

const WORKER_PATH: &str = "crates/workers/src/«module».rs";
const CONSUMER: Template = template(WORKER_PATH, own!("workers/src/consumer.rs"), always);
const SCHEDULE: Template = template(WORKER_PATH, own!("workers/src/schedule.rs"), always);
const DAEMON: Template = template(WORKER_PATH, own!("workers/src/daemon.rs"), always);

const QUEUE_WORKER: Template = template(WORKER_PATH, own!("workers/src/queue.rs"), always);
const BOT: Template = template(WORKER_PATH, own!("workers/src/telegram.rs"), always);
const QUEUE: Template = template("crates/domain/src/«module».rs", own!("domain/src/queue.rs"), always);
const DRIVER: Template = template("crates/drivers/src/«module».rs", own!("drivers/src/custom.rs"), always);

/// The tasks of a queue.
pub(crate) fn queue() -> &'static Template {
    &QUEUE
}

/// A driver of the user.
pub(crate) fn driver() -> &'static Template {
    &DRIVER
}

pub(crate) fn consumer() -> &'static Template {
    &CONSUMER
}

pub(crate) fn worker(worker: &Worker) -> &'static Template {
    match worker.generator_type {
        WorkerKind::Schedule => &SCHEDULE,
        WorkerKind::Daemon => &DAEMON,
        WorkerKind::Queue => &QUEUE_WORKER,
        WorkerKind::Telegram => &BOT,
    }
}

/// All that decides what is generated from a configuration.
pub(crate) fn inputs() -> impl Iterator<Item = &'static str> {
    let code = [
        include_str!("config.rs"),
        include_str!("config/surroundings.rs"),
        include_str!("check.rs"),
        include_str!("check/applications.rs"),
        include_str!("check/events.rs"),
        include_str!("check/names.rs"),
        include_str!("check/references.rs"),
        include_str!("check/servers.rs"),
        include_str!("check/surroundings.rs"),
        include_str!("check/workers.rs"),
        include_str!("contract.rs"),
        include_str!("contract/commands.rs"),
        include_str!("contract/event.rs"),
        include_str!("contract/names.rs"),
        include_str!("contract/operations.rs"),
        include_str!("contract/proto.rs"),
        include_str!("contract/reader.rs"),
        include_str!("contract/schema.rs"),
        include_str!("contract/tasks.rs"),
        include_str!("generate.rs"),
        include_str!("generate/code.rs"),
        include_str!("generate/code/client.rs"),
        include_str!("generate/code/errors.rs"),
        include_str!("generate/code/events.rs"),
        include_str!("generate/code/mock.rs"),
        include_str!("generate/code/operations.rs"),
        include_str!("generate/code/routes.rs"),
        include_str!("generate/code/types.rs"),
        include_str!("generate/commands.rs"),
        include_str!("generate/contracts.rs"),
        include_str!("generate/helm.rs"),
        include_str!("generate/infra.rs"),
        include_str!("generate/packages.rs"),
        include_str!("generate/stand.rs"),
        include_str!("generate/variables.rs"),
        include_str!("generate/workers.rs"),
        include_str!("generate/workspace.rs"),
        include_str!("rustfmt.rs"),
        include_str!("spec.rs"),
        include_str!("spec/surroundings.rs"),
        include_str!("templates.rs"),
        include_str!("words.rs"),
        include_str!("yaml.rs"),
        include_str!("../../../Cargo.toml"),
        env!("CARGO_PKG_VERSION"),
    ];
    let around = CHART.iter().chain(PACKAGE).chain(UNIT);
    let templates = PROJECT.iter().chain(APPLICATION).chain(COMMAND_LINE).chain(around).chain([
        &CHART_PROGRAM,
        &SERVICE_TEST,
        &COMMANDS_TEST,
        &CONSUMER,
        &SCHEDULE,
        &DAEMON,
        &QUEUE_WORKER,
        &BOT,
        &QUEUE,
        &DRIVER,
        &IMPLEMENTATION,
        &SETTINGS,
        &SERVICES,
        &PRODUCER,
        &TYPED_CONSUMER,
    ]);
    let texts = templates.flat_map(|template| {
        let text = match template.source {
            Source::Notes(text, _) | Source::Own(text) => text,
        };
        [template.path, text]
    });
    code.into_iter().chain(texts).chain(crate::generate::texts())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use super::*;

    /// With another version of any of them, an unchanged configuration has to be rendered again.
    #[test]
    fn every_module_that_rendering_uses_is_an_input() {
        let inputs: BTreeSet<_> = inputs().collect();
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let is_module = |name: &str| source.join(format!("{name}.rs")).is_file();
        let mut modules = vec!["generate".to_owned()];
        let mut seen = BTreeSet::new();
        while let Some(module) = modules.pop() {
            let text = fs::read_to_string(source.join(format!("{module}.rs"))).unwrap();
            assert!(inputs.contains(&*text), "{module}");
            let own = text
                .lines()
                .filter_map(|line| Some(format!("{module}/{}", line.strip_prefix("mod ")?.strip_suffix(';')?)));
            let others = text.split("crate::").skip(1).map(|rest| {
                rest.split(|char: char| !char.is_alphanumeric() && char != '_').next().unwrap_or_default().to_owned()
            });
            let used = own.filter(|path| !path.ends_with("/tests")).chain(others);
            for name in used.filter(|name| is_module(name)) {
                if seen.insert(name.clone()) {
                    modules.push(name);
                }
            }
        }
        assert!(seen.contains("spec") && seen.contains("generate/variables"), "{seen:?}");
    }
}
