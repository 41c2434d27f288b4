//! The files of a project, and what each is made from.

use crate::config::{Config, Worker};

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

fn clickhouse(config: &Config) -> bool {
    config.has_store("clickhouse")
}

fn rest(config: &Config) -> bool {
    !config.rest.is_empty()
}

fn grpc(config: &Config) -> bool {
    !config.grpc.is_empty()
}

fn transport(config: &Config) -> bool {
    rest(config) || grpc(config)
}

fn workers(config: &Config) -> bool {
    !config.kafka.is_empty() || !config.worker.is_empty()
}

fn own_workspace(config: &Config) -> bool {
    !config.platform.workspace
}

fn image(config: &Config) -> bool {
    config.platform.git.is_some()
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

/// The files of a project, without those of applications and workers.
pub(crate) const PROJECT: &[Template] = &[
    template(".gitignore", own!("root/gitignore"), own_workspace),
    template(".dockerignore", own!("root/dockerignore"), image),
    template(".env", own!("root/env"), always),
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
            [("\"notes.events\"", "\"«project».events\""), ("\"/notes\"", "\"/«project»\""),]
        ),
        always,
    ),
    template("crates/storages/Cargo.toml", own!("storages/Cargo.toml"), always),
    template(
        "crates/storages/src/lib.rs",
        notes!("examples/notes/src/repository.rs", [DOMAIN, ("migrations/notes/", "migrations/"),]),
        always,
    ),
    template("crates/storages/src/sqlite.rs", notes!("examples/notes/src/repository/sqlite.rs", [DOMAIN]), sqlite),
    template(
        "crates/storages/src/postgres.rs",
        notes!("examples/notes/src/repository/postgres.rs", [DOMAIN]),
        postgres,
    ),
    template("crates/storages/src/mysql.rs", notes!("examples/notes/src/repository/mysql.rs", [DOMAIN]), mysql),
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
    template("crates/proto/Cargo.toml", own!("proto/Cargo.toml"), grpc),
    template("crates/proto/build.rs", own!("proto/build.rs"), grpc),
    template("crates/proto/src/lib.rs", own!("proto/src/lib.rs"), grpc),
    template("crates/transport/Cargo.toml", own!("transport/Cargo.toml"), transport),
    template("crates/transport/src/lib.rs", own!("transport/src/lib.rs"), transport),
    template("crates/transport/src/http.rs", own!("transport/src/http.rs"), rest),
    template("crates/transport/src/grpc.rs", own!("transport/src/grpc.rs"), grpc),
    template("crates/workers/Cargo.toml", own!("workers/Cargo.toml"), workers),
    template("crates/workers/src/lib.rs", own!("workers/src/lib.rs"), workers),
];

/// The files of each application.
pub(crate) const APPLICATION: &[Template] = &[
    template("apps/«app»/Cargo.toml", own!("app/Cargo.toml"), always),
    template("apps/«app»/src/lib.rs", own!("app/src/lib.rs"), always),
    template("apps/«app»/src/main.rs", own!("app/src/main.rs"), always),
    template("apps/«app»/tests/service.rs", own!("app/tests/service.rs"), always),
];

const WORKER_PATH: &str = "crates/workers/src/«module».rs";
const CONSUMER: Template = template(WORKER_PATH, own!("workers/src/consumer.rs"), always);
const SCHEDULE: Template = template(WORKER_PATH, own!("workers/src/schedule.rs"), always);
const DAEMON: Template = template(WORKER_PATH, own!("workers/src/daemon.rs"), always);

pub(crate) fn consumer() -> &'static Template {
    &CONSUMER
}

pub(crate) fn worker(worker: &Worker) -> &'static Template {
    if worker.generator_type == "daemon" { &DAEMON } else { &SCHEDULE }
}

/// All that decides what is generated from a configuration.
pub(crate) fn inputs() -> impl Iterator<Item = &'static str> {
    let code = [
        include_str!("config.rs"),
        include_str!("generate.rs"),
        include_str!("generate/variables.rs"),
        include_str!("generate/workspace.rs"),
        include_str!("rustfmt.rs"),
        include_str!("spec.rs"),
        include_str!("templates.rs"),
        include_str!("words.rs"),
        include_str!("../../../Cargo.toml"),
        env!("CARGO_PKG_VERSION"),
    ];
    let templates = PROJECT.iter().chain(APPLICATION).chain([&CONSUMER, &SCHEDULE, &DAEMON]);
    let texts = templates.flat_map(|template| {
        let text = match template.source {
            Source::Notes(text, _) | Source::Own(text) => text,
        };
        [template.path, text]
    });
    code.into_iter().chain(texts)
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
