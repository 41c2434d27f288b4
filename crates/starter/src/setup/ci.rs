//! Variables and secrets of pipelines, by `gh` and `glab`. Values are on the standard input: others on the machine can read
//! the arguments of a program.

use super::answers::{Answers, Environment};
use super::server::{file, known_host};
use super::step::{Input, Step};

pub(super) fn steps(answers: &Answers) -> anyhow::Result<Vec<Step>> {
    let provider = Provider { is_github: answers.provider == "github", repository: &answers.repository };
    let registry = &answers.registry;
    let mut steps = vec![
        provider.variable("REGISTRY", &registry.url, None),
        provider.variable("REGISTRY_TYPE", &registry.kind, None),
    ];
    match registry.kind.as_str() {
        "aws" => {
            steps.push(provider.variable("AWS_REGION", &registry.region, None));
            steps.push(provider.variable("AWS_ROLE_ARN", &registry.role, None));
        }
        // Their token is made for each run.
        "github" if provider.is_github => {}
        kind => {
            if kind == "selfhosted" {
                steps.push(provider.variable("REGISTRY_USER", &registry.user, None));
            }
            steps.push(provider.secret("REGISTRY_PASSWORD", Input::Secret("REGISTRY_PASSWORD".to_owned()), None));
        }
    }
    for environment in &answers.environments {
        steps.extend(provider.environment(&environment.name));
        steps.extend(of_environment(answers, environment, &provider)?);
    }
    Ok(steps)
}

fn of_environment(answers: &Answers, environment: &Environment, provider: &Provider<'_>) -> anyhow::Result<Vec<Step>> {
    let servers = answers.servers_of(environment);
    let targets: Vec<_> =
        servers.iter().map(|server| format!("{}@{}:{}", server.deploy_user, server.host, server.port)).collect();
    let known = servers.iter().map(|server| known_host(server)).collect::<anyhow::Result<Vec<_>>>()?;
    let name = Some(environment.name.as_str());
    Ok(vec![
        provider.variable("DEPLOY_SERVERS", &targets.join(" "), name),
        provider.variable("DEPLOY_KNOWN_HOSTS", &known.concat(), name),
        provider.secret("DEPLOY_SSH_KEY", Input::SecretFile(file(&answers.key)), name),
    ])
}

struct Provider<'a> {
    is_github: bool,
    repository: &'a str,
}

impl Provider<'_> {
    /// GitLab has an environment as soon as something refers to it.
    fn environment(&self, name: &str) -> Option<Step> {
        let path = format!("repos/{}/environments/{name}", self.repository);
        self.is_github.then(|| Step::run_program("gh", &["api", "--silent", "--method", "PUT", &path], Input::Nothing))
    }

    fn variable(&self, name: &str, value: &str, environment: Option<&str>) -> Step {
        self.set("variable", name, Input::Text(value.to_owned()), environment, &[])
    }

    fn secret(&self, name: &str, input: Input, environment: Option<&str>) -> Step {
        // GitLab masks values of one line only; jobs have the others as files.
        let kind: &[&str] = if matches!(input, Input::SecretFile(_)) { &["--type", "file"] } else { &["--masked"] };
        self.set("secret", name, input, environment, kind)
    }

    fn set(&self, what: &str, name: &str, input: Input, environment: Option<&str>, gitlab: &[&str]) -> Step {
        if self.is_github {
            let mut arguments = vec![what, "set", name, "--repo", self.repository];
            arguments.extend(environment.iter().flat_map(|name| ["--env", name]));
            return Step::run_program("gh", &arguments, input);
        }
        // `set` refuses a variable that exists, and `update` one that does not.
        let arguments = |verb: &'static str| {
            let mut arguments = vec!["variable", verb, name, "--repo", self.repository, "--raw"];
            arguments.extend(environment.iter().flat_map(|name| ["--scope", name]));
            arguments.extend(gitlab);
            arguments
        };
        Step::run_program("glab", &arguments("update"), input).or(&arguments("set"))
    }
}
