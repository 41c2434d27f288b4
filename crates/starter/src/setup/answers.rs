//! `setup.yaml`: where the project is, and where it runs. It has no secret.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Deserialize;

use crate::check;
use crate::prompt::Prompt;
use crate::spec::{Choice, Key, Kind};
use crate::yaml::{Node, Problem};

const fn key(name: &'static str, kind: Kind, required: bool, doc: &'static str) -> Key {
    Key { name, doc, kind, required, default: "" }
}

const fn choice(value: &'static str, doc: &'static str) -> Choice {
    Choice { value, doc }
}

/// The whole file.
const SETUP: Kind = Kind::Section(&[
    key("provider", Kind::Choice(PROVIDER), true, "Where the repository and its pipelines are."),
    key("repository", Kind::Text, true, "The repository, such as `team/shop`."),
    key("registry", Kind::Section(REGISTRY), true, "Where images are stored."),
    key("key", Kind::Text, true, "The private key of the deployment, a file; the public one has `.pub` after it."),
    key("servers", Kind::List(&Kind::Section(SERVER), 1), true, "The servers."),
    key("environments", Kind::List(&Kind::Section(ENVIRONMENT), 1), true, "What is deployed where."),
]);

const PROVIDER: &[Choice] = &[choice("github", "GitHub, by `gh`."), choice("gitlab", "GitLab, by `glab`.")];

const REGISTRY: &[Key] = &[
    key("type", Kind::Choice(TYPE), true, "What it is."),
    key("url", Kind::Text, true, "Its host with the path in front of image names, such as `ghcr.io/team`."),
    key("user", Kind::Text, false, "The user, for `selfhosted`."),
    key("region", Kind::Text, false, "The region, for `aws`."),
    key("role", Kind::Text, false, "The role that a pipeline assumes, for `aws`."),
];

const TYPE: &[Choice] = &[
    choice("github", "GitHub: pipelines there need no secret."),
    choice("digitalocean", "DigitalOcean: the secret is an API token."),
    choice("aws", "AWS ECR: pipelines assume a role, without a secret."),
    choice("selfhosted", "Another one: a user and a password."),
];

const SERVER: &[Key] = &[
    key("name", Kind::Name, true, "Name for `environments[].servers`."),
    key("host", Kind::Text, true, "Its address."),
    key("port", Kind::Integer(1, 65_535), false, "The port of SSH: 22 by default."),
    key("user", Kind::Text, false, "Who sets it up: `root` by default."),
    key("deploy_user", Kind::Text, false, "Who deploys: `deploy` by default."),
];

const ENVIRONMENT: &[Key] = &[
    key("name", Kind::Name, true, "Its name."),
    key("branch", Kind::Text, true, "The branch that is deployed."),
    key("servers", Kind::List(&Kind::Name, 1), true, "Its servers."),
];

/// Valid answers.
#[derive(Debug, Deserialize)]
pub(super) struct Answers {
    pub(super) provider: String,
    pub(super) repository: String,
    pub(super) registry: Registry,
    pub(super) key: String,
    pub(super) servers: Vec<Server>,
    pub(super) environments: Vec<Environment>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Registry {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) user: String,
    #[serde(default)]
    pub(super) region: String,
    #[serde(default)]
    pub(super) role: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) host: String,
    #[serde(default = "ssh")]
    pub(super) port: u16,
    #[serde(default = "root")]
    pub(super) user: String,
    #[serde(default = "deploy")]
    pub(super) deploy_user: String,
}

fn ssh() -> u16 {
    22
}

fn root() -> String {
    "root".to_owned()
}

fn deploy() -> String {
    "deploy".to_owned()
}

#[derive(Debug, Deserialize)]
pub(super) struct Environment {
    pub(super) name: String,
    pub(super) branch: String,
    servers: Vec<String>,
}

impl Answers {
    pub(super) fn servers_of(&self, environment: &Environment) -> Vec<&Server> {
        self.servers.iter().filter(|server| environment.servers.contains(&server.name)).collect()
    }
}

/// Reads answers. Returns all problems.
pub(super) fn parse(text: &str) -> Result<Answers, Vec<Problem>> {
    let (root, answers) = check::read_file::<Answers>(text, &SETUP)?;
    let mut problems = Vec::new();
    words(&root, &mut problems);
    let registry = root.get("registry").unwrap_or(&root);
    let required: &[&str] = match answers.registry.kind.as_str() {
        "aws" => &["region", "role"],
        "selfhosted" => &["user"],
        _ => &[],
    };
    for key in required.iter().filter(|key| registry.get(key).is_none()) {
        let message = format!("`{key}` is missing: `{}` needs it", answers.registry.kind);
        problems.push(Problem { position: registry.position, message });
    }
    references(&root, &mut problems);
    if problems.is_empty() { Ok(answers) } else { Err(problems) }
}

/// These become arguments of programs and names in scripts: none may be an option, or have another meaning there.
fn words(root: &Node, problems: &mut Vec<Problem>) {
    let elements = |key: &str| root.get(key).map(Node::elements).unwrap_or_default();
    let mut texts = vec![root.get("repository")];
    let registry = root.get("registry");
    texts.extend(["url", "user", "region", "role"].map(|key| registry.and_then(|registry| registry.get(key))));
    texts.extend(elements("servers").iter().flat_map(|node| ["host", "user", "deploy_user"].map(|key| node.get(key))));
    texts.extend(elements("environments").iter().map(|node| node.get("branch")));
    for node in texts.into_iter().flatten() {
        let is_word = |text: &str| {
            text.starts_with(|char: char| char.is_ascii_alphanumeric())
                && text.chars().all(|char| char.is_ascii_alphanumeric() || "-_./:".contains(char))
        };
        if !node.text().is_some_and(is_word) {
            let message = "must be letters, digits and `-`, `_`, `.`, `/`, `:`, and start with a letter or digit";
            problems.push(Problem { position: node.position, message: message.to_owned() });
        }
    }
}

fn references(root: &Node, problems: &mut Vec<Problem>) {
    let elements = |key: &str| root.get(key).map(Node::elements).unwrap_or_default();
    let name = |node: &Node| node.get("name").and_then(Node::text).unwrap_or_default().to_owned();
    let known: Vec<_> = elements("servers").iter().map(name).collect();
    // A push to a branch is deployed to one environment.
    for (section, key) in [("servers", "name"), ("environments", "name"), ("environments", "branch")] {
        let mut seen = BTreeSet::new();
        for node in elements(section).iter().filter_map(|node| node.get(key)) {
            let text = node.text().unwrap_or_default();
            if !seen.insert(text) {
                let message = format!("the {key} `{text}` is already used");
                problems.push(Problem { position: node.position, message });
            }
        }
    }
    let used = elements("environments").iter().filter_map(|node| node.get("servers")).flat_map(Node::elements);
    for node in used.filter(|node| node.text().is_none_or(|text| !known.iter().any(|known| known == text))) {
        let message = format!("there is no server `{}`", node.text().unwrap_or_default());
        problems.push(Problem { position: node.position, message });
    }
}

/// Asks for the answers, and returns the text of a `setup.yaml`.
pub(super) fn ask(prompt: &mut Prompt<'_>) -> anyhow::Result<String> {
    let names = |choices: &'static [Choice]| choices.iter().map(|choice| choice.value).collect::<Vec<_>>();
    let given = |answer: &str| if answer.is_empty() { Err("must not be empty".to_owned()) } else { Ok(()) };
    let name = |answer: &str| check::scalar(&Kind::Name, answer, false).map(drop);
    let mut text = String::new();
    let provider = prompt.choice("Where the repository is", &names(PROVIDER), "github")?;
    let repository = prompt.text("Repository, such as team/shop", "", &given)?;
    write!(text, "provider: {provider}\nrepository: {repository}\nregistry:\n")?;
    let kind = prompt.choice("Registry of images", &names(TYPE), "github")?;
    let owner = repository.split('/').next().unwrap_or_default();
    let default = match kind.as_str() {
        "github" => format!("ghcr.io/{owner}"),
        "digitalocean" => format!("registry.digitalocean.com/{owner}"),
        _ => String::new(),
    };
    let url = prompt.text("Its host and path", &default, &given)?;
    write!(text, "  type: {kind}\n  url: {url}\n")?;
    if kind == "aws" {
        let region = prompt.text("Region", "eu-central-1", &given)?;
        let role = prompt.text("Role that a pipeline assumes (ARN)", "", &given)?;
        write!(text, "  region: {region}\n  role: {role}\n")?;
    } else if kind == "selfhosted" {
        writeln!(text, "  user: {}", prompt.text("User of the registry", "", &given)?)?;
    }
    let key = prompt.text("Private key of the deployment, a file", "~/.ssh/deploy", &given)?;
    write!(text, "key: {}\nservers:\n", serde_json::to_string(&key)?)?;
    let mut servers = Vec::new();
    while servers.is_empty() || prompt.confirm("Another server", false)? {
        let server = prompt.text("Name of the server", if servers.is_empty() { "one" } else { "" }, &name)?;
        let host = prompt.text("Its address", "", &given)?;
        let port = prompt.text("Port of SSH", "22", &|port| {
            port.parse::<u16>().map(drop).map_err(|_| "must be a port".to_owned())
        })?;
        writeln!(text, "  - {{name: {server}, host: {}, port: {port}}}", serde_json::to_string(&host)?)?;
        servers.push(server);
    }
    text.push_str("environments:\n");
    let mut branches: Vec<String> = Vec::new();
    while branches.is_empty() || prompt.confirm("Another environment", false)? {
        let (default, main) = if branches.is_empty() { ("production", "main") } else { ("", "") };
        let environment = prompt.text("Name of the environment", default, &name)?;
        let unused = |branch: &str| {
            let is_used = branches.iter().any(|known| known == branch);
            if is_used { Err(format!("the branch `{branch}` is already used")) } else { given(branch) }
        };
        let branch = prompt.text("Its branch", main, &unused)?;
        let options: Vec<_> = servers.iter().map(String::as_str).collect();
        let used = prompt.choices("Its servers", &options, &options.join(", "))?;
        writeln!(
            text,
            "  - {{name: {environment}, branch: {}, servers: [{}]}}",
            serde_json::to_string(&branch)?,
            used.join(", ")
        )?;
        branches.push(branch);
    }
    Ok(text)
}
