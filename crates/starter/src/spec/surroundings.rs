//! The sections about what is around the programs.

use super::{Choice, Key, Kind, choice, optional, required};

pub(super) const GRAFANA: &[Key] = &[optional(
    "datasources",
    Kind::List(&Kind::Section(DATASOURCE), 0),
    "[]",
    "Data sources that are not those of the dev stand: at most one of each type.",
)];

const DATASOURCE: &[Key] = &[
    required("name", Kind::Text, "Its name in Grafana."),
    required(
        "type",
        Kind::Choice(&[choice("prometheus", "Metrics."), choice("loki", "Logs."), choice("tempo", "Traces.")]),
        "What it has.",
    ),
    required("url", Kind::Text, "Where Grafana finds it: `http://…` or `https://…`."),
];

pub(super) const DEPLOY: &[Key] = &[optional(
    "helm",
    Kind::True,
    "",
    "A Helm chart: `infra/helm/<name of the project>`. It needs a store with a server.",
)];

pub(super) const PACKAGING: &[Key] = &[
    required("maintainer", Kind::Text, "Who is responsible: a name and an address, such as `Shop <ops@shop.example>`."),
    optional("vendor", Kind::Text, "", "The organisation that distributes the packages."),
    optional("homepage", Kind::Text, "", "A URL about the project."),
    optional("license", Kind::Text, "", "The license, such as `MIT`."),
];

pub(super) const ARTIFACT: &[Choice] = &[
    choice("deb", "Debian and Ubuntu."),
    choice("rpm", "Fedora, RHEL and SUSE."),
    choice("apk", "Alpine, without a unit."),
];

pub(super) const POST_GENERATE: &[Choice] = &[
    choice("git_install", "`git init`, unless the project is in a repository."),
    choice("executable_scripts", "Makes generated scripts executable."),
    choice("cargo_check", "`cargo check --workspace`."),
    choice("git_initial_commit", "Commits all files, if the repository has no commit."),
];
