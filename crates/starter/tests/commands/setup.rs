//! `kennel setup` with programs that record what they get.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{ANSWERS, Project};

const SETUP: &str = "\
provider: github
repository: team/shop
registry:
  type: selfhosted
  url: images.example.com/team
  user: pusher
key: ~/.ssh/deploy
servers:
  - {name: one, host: one.example.com}
  - {name: two, host: two.example.com, port: 2222, user: admin, deploy_user: shop}
environments:
  - {name: staging, branch: main, servers: [one]}
  - {name: production, branch: release, servers: [one, two]}
";

const PASSWORD: &str = "s3cret-of-the-registry";
const KEY: &str = "-----BEGIN OPENSSH PRIVATE KEY-----\ns3cret-of-ssh\n-----END OPENSSH PRIVATE KEY-----\n";

/// Records its arguments and its input, one file per call. `FAIL` is a pattern of the calls that fail.
const RECORDER: &str = r#"#!/bin/sh
number=$(ls "$RECORD" | wc -l)
call=$(basename "$0")
for argument; do call="$call $argument"; done
{ printf '%s\n' "$call"; cat; } >"$RECORD/$(printf %03d "$number")"
case $call in ${FAIL:-nothing}) exit 1 ;; esac
"#;

/// Knows two servers.
const KEYGEN: &str = r#"#!/bin/sh
case $2 in
  one.example.com | '[two.example.com]:2222') printf '# Host %s found: line 1\n%s ssh-ed25519 AAAA\n' "$2" "$2" ;;
  *) exit 1 ;;
esac
"#;

struct Setup {
    project: Project,
    home: tempfile::TempDir,
}

struct Run {
    code: i32,
    output: String,
    /// What each program got: the command, and then its input.
    calls: Vec<(String, String)>,
}

impl Setup {
    fn new(answers: &str) -> Self {
        Self::of(
            Project::new(&ANSWERS.replace("path: ../kennel", "{git: 'https://example.com/kennel.git', rev: abc}")),
            answers,
        )
    }

    fn of(project: Project, answers: &str) -> Self {
        if !answers.is_empty() {
            project.write("setup.yaml", answers);
        }
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join(".ssh")).unwrap();
        fs::write(home.path().join(".ssh/deploy"), KEY).unwrap();
        fs::write(home.path().join(".ssh/deploy.pub"), "ssh-ed25519 AAAAC3Nz deploy@team\n").unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        for program in ["gh", "glab", "ssh", "docker", "ssh-add"] {
            Self::program(home.path(), program, RECORDER);
        }
        Self::program(home.path(), "ssh-keygen", KEYGEN);
        Self::program(home.path(), "ssh-agent", "#!/bin/sh\nsleep 60 >/dev/null 2>&1 &\necho \"SSH_AGENT_PID=$!\"\n");
        Self { project, home }
    }

    fn program(home: &Path, name: &str, text: &str) {
        let file = home.join("bin").join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn command(&self, program: &Path, records: &Path) -> Command {
        let path = format!("{}:{}", self.home.path().join("bin").display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(program);
        command.current_dir(&self.project.root);
        command.env("PATH", path).env("HOME", self.home.path()).env("RECORD", records);
        command
    }

    fn run(&self, arguments: &[&str], input: &str, env: &[(&str, &str)]) -> Run {
        let mut command = self.command(Path::new(env!("CARGO_BIN_EXE_kennel")), &self.records());
        command.arg("setup").args(arguments);
        self.record(command, input, env)
    }

    fn records(&self) -> PathBuf {
        let folder = self.home.path().join("records");
        fs::remove_dir_all(&folder).ok();
        fs::create_dir(&folder).unwrap();
        folder
    }

    fn record(&self, mut command: Command, input: &str, env: &[(&str, &str)]) -> Run {
        command.env_remove("REGISTRY_PASSWORD");
        let output = super::with_input(command.envs(env.iter().copied()), input);
        let mut files: Vec<_> =
            fs::read_dir(self.home.path().join("records")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        let call = |file: &PathBuf| {
            let text = fs::read_to_string(file).unwrap();
            let (call, input) = text.split_once('\n').unwrap();
            (call.to_owned(), input.to_owned())
        };
        Run {
            code: output.status.code().unwrap(),
            output: [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat(),
            calls: files.iter().map(call).collect(),
        }
    }
}

#[test]
fn secrets_are_given_on_the_standard_input_only() {
    let setup = Setup::new(SETUP);
    let run = setup.run(&["ci", "--yes"], "", &[("REGISTRY_PASSWORD", PASSWORD)]);
    assert_eq!(run.code, 0, "{}", run.output);
    let calls: Vec<_> = run.calls.iter().map(|(call, input)| (call.as_str(), input.as_str())).collect();
    let known = "one.example.com ssh-ed25519 AAAA\n";
    let both = format!("{known}[two.example.com]:2222 ssh-ed25519 AAAA\n");
    let expected = [
        ("gh variable set REGISTRY --repo team/shop", "images.example.com/team"),
        ("gh variable set REGISTRY_TYPE --repo team/shop", "selfhosted"),
        ("gh variable set REGISTRY_USER --repo team/shop", "pusher"),
        ("gh secret set REGISTRY_PASSWORD --repo team/shop", PASSWORD),
        ("gh api --silent --method PUT repos/team/shop/environments/staging", ""),
        ("gh variable set DEPLOY_SERVERS --repo team/shop --env staging", "deploy@one.example.com:22"),
        ("gh variable set DEPLOY_KNOWN_HOSTS --repo team/shop --env staging", known),
        ("gh secret set DEPLOY_SSH_KEY --repo team/shop --env staging", KEY),
        ("gh api --silent --method PUT repos/team/shop/environments/production", ""),
        (
            "gh variable set DEPLOY_SERVERS --repo team/shop --env production",
            "deploy@one.example.com:22 shop@two.example.com:2222",
        ),
        ("gh variable set DEPLOY_KNOWN_HOSTS --repo team/shop --env production", &both),
        ("gh secret set DEPLOY_SSH_KEY --repo team/shop --env production", KEY),
    ];
    assert_eq!(calls, expected);
    // Neither shown nor stored.
    assert!(!run.output.contains("s3cret"), "{}", run.output);
    for (path, content) in setup.project.tree() {
        assert!(!String::from_utf8_lossy(&content).contains("s3cret"), "{}", path.display());
    }
}

#[test]
fn everything_is_shown_first_and_nothing_runs_unasked() {
    let setup = Setup::new(SETUP);
    let env = [("REGISTRY_PASSWORD", PASSWORD)];
    for (arguments, input, code) in
        [(&["ci", "--dry-run"][..], "", 0), (&["ci"], "n\n", 0), (&["ci"], "\n", 0), (&["ci"], "", 70)]
    {
        let run = setup.run(arguments, input, &env);
        assert_eq!((run.code, &run.calls[..]), (code, &[][..]), "{arguments:?}: {}", run.output);
        for line in [
            "$ gh variable set REGISTRY --repo team/shop\n  < images.example.com/team\n",
            "$ gh secret set REGISTRY_PASSWORD --repo team/shop\n  < the secret REGISTRY_PASSWORD\n",
            "$ gh secret set DEPLOY_SSH_KEY --repo team/shop --env staging\n  < the secret in ",
        ] {
            assert!(run.output.contains(line), "{arguments:?}: {}", run.output);
        }
        assert!(!run.output.contains("s3cret"), "{}", run.output);
    }
    assert_eq!(setup.run(&["ci"], "y\n", &env).calls.len(), 12);
}

#[test]
fn a_failure_stops_the_rest() {
    let setup = Setup::new(SETUP);
    let run = setup.run(&["ci", "--yes"], "", &[("REGISTRY_PASSWORD", PASSWORD), ("FAIL", "*REGISTRY_USER*")]);
    assert_eq!((run.code, run.calls.len()), (70, 3), "{}", run.output);
    let expected =
        "error: step 3 of 12 failed; those before it are done: gh variable set REGISTRY_USER --repo team/shop failed\n";
    assert!(run.output.ends_with(expected), "{}", run.output);
}

#[test]
fn gitlab_gets_the_same_and_variables_that_are_new_there() {
    let setup = Setup::new(&SETUP.replace("provider: github", "provider: gitlab"));
    let run = setup.run(&["ci", "--yes"], "", &[("REGISTRY_PASSWORD", PASSWORD), ("FAIL", "*update*")]);
    assert_eq!(run.code, 0, "{}", run.output);
    let secrets: Vec<_> =
        run.calls.iter().filter(|(_, input)| input.contains("s3cret")).map(|(call, _)| call.as_str()).collect();
    let key = |verb: &str, environment: &str| {
        format!("glab variable {verb} DEPLOY_SSH_KEY --repo team/shop --raw --scope {environment} --type file")
    };
    assert_eq!(
        secrets,
        [
            "glab variable update REGISTRY_PASSWORD --repo team/shop --raw --masked".to_owned(),
            "glab variable set REGISTRY_PASSWORD --repo team/shop --raw --masked".to_owned(),
            key("update", "staging"),
            key("set", "staging"),
            key("update", "production"),
            key("set", "production"),
        ]
    );
}

#[test]
fn servers_are_set_up_only_if_they_are_known() {
    let setup = Setup::new(SETUP);
    let run = setup.run(&["server", "--yes"], "", &[]);
    assert_eq!(run.code, 0, "{}", run.output);
    let options = "-o StrictHostKeyChecking=yes -o BatchMode=yes";
    let calls: Vec<_> = run.calls.iter().map(|(call, _)| call.clone()).collect();
    assert_eq!(
        calls,
        [
            format!("ssh {options} -p 22 root@one.example.com sh -s"),
            format!("ssh {options} -p 2222 admin@two.example.com sh -s")
        ]
    );
    let script = &run.calls[1].1;
    assert!(
        script.contains("echo 'ssh-ed25519 AAAAC3Nz deploy@team' >>") && script.contains("'/opt/shop'"),
        "{script}"
    );
    assert!(script.contains("useradd --create-home --shell /bin/sh 'shop'") && !script.contains('«'), "{script}");
    assert!(is_shell(script), "{script}");

    setup.project.replace("setup.yaml", "two.example.com", "three.example.com");
    let run = setup.run(&["server", "--yes"], "", &[]);
    assert_eq!((run.code, &run.calls[..]), (70, &[][..]));
    assert!(
        run.output.contains("error: [three.example.com]:2222 is not a known host: connect to it once with "),
        "{}",
        run.output
    );
}

fn is_shell(script: &str) -> bool {
    super::with_input(Command::new("sh").arg("-n"), script).status.success()
}

#[test]
fn the_files_of_a_deployment_are_written_and_deploy() {
    let setup = Setup::new(SETUP);
    let run = setup.run(&["deploy"], "y\n", &[]);
    assert_eq!(run.code, 0, "{}", run.output);
    let workflow = setup.project.read(".github/workflows/deploy.yml");
    assert!(
        run.output.contains("+++ b/deploy/deploy.sh") && run.output.contains("+++ b/.github/workflows/deploy.yml"),
        "{}",
        run.output
    );
    let workflow: serde_json::Value = yaml_serde::from_str(&workflow).unwrap();
    assert_eq!(
        workflow["jobs"]["deploy"]["environment"],
        "${{ github.ref_name == 'main' && 'staging' || 'production' }}"
    );
    let compose: serde_json::Value = yaml_serde::from_str(&setup.project.read("deploy/compose.yaml")).unwrap();
    assert_eq!(compose["services"]["shop-web"]["image"], "${REGISTRY:?}/shop-web:${TAG:?}");
    // Changes of the user are shown before they are replaced.
    assert_eq!(setup.run(&["deploy"], "", &[]).output, "nothing to do\n");
    setup.project.replace("deploy/compose.yaml", "unless-stopped", "always");
    let run = setup.run(&["deploy"], "n\n", &[]);
    assert!(run.output.contains("-    restart: \"always\"\n+    restart: \"unless-stopped\"\n"), "{}", run.output);
    assert!(setup.project.read("deploy/compose.yaml").contains("always"));

    let mut command = setup.command(&setup.project.root.join("deploy/deploy.sh"), &setup.records());
    command.arg("v1");
    let env = [
        ("REGISTRY", "images.example.com/team"),
        ("REGISTRY_TYPE", "selfhosted"),
        ("REGISTRY_USER", "pusher"),
        ("REGISTRY_PASSWORD", PASSWORD),
        ("DEPLOY_SERVERS", "deploy@one.example.com:22 shop@two.example.com:2222"),
        ("DEPLOY_KNOWN_HOSTS", "one.example.com ssh-ed25519 AAAA"),
        ("DEPLOY_SSH_KEY", KEY),
    ];
    let run = setup.record(command, "", &env);
    assert_eq!(run.code, 0, "{}", run.output);
    assert_eq!(run.calls[2], ("ssh-add -q -".to_owned(), format!("{KEY}\n")));
    let calls: Vec<_> = run.calls.iter().map(|(call, _)| call.split(" -o ").next().unwrap().to_owned()).collect();
    assert_eq!(
        calls,
        [
            "docker build --build-arg APP=shop-web --tag images.example.com/team/shop-web:v1 .",
            "docker push --quiet images.example.com/team/shop-web:v1",
            "ssh-add -q -",
            "ssh",
            "ssh",
            "ssh",
            "ssh",
        ]
    );
    let (call, script) = &run.calls[6];
    assert!(
        call.contains("StrictHostKeyChecking=yes") && call.ends_with("-p 2222 shop@two.example.com sh -s"),
        "{call}"
    );
    assert!(is_shell(script) && script.contains("tag='v1'"), "{script}");
    let secrets = run.calls.iter().filter(|(call, _)| call.contains("s3cret")).count();
    assert_eq!(secrets, 0, "{:?}", run.calls);

    // As GitLab stores it.
    let file = setup.home.path().join("key");
    fs::write(&file, KEY.trim_end()).unwrap();
    let mut command = setup.command(&setup.project.root.join("deploy/deploy.sh"), &setup.records());
    command.arg("v2");
    let run = setup.record(command, "", &[&env[..6], &[("DEPLOY_SSH_KEY", file.to_str().unwrap())]].concat());
    assert_eq!((run.code, &run.calls[2]), (0, &("ssh-add -q -".to_owned(), KEY.to_owned())), "{}", run.output);
}

#[test]
fn programs_with_sqlite_share_a_volume() {
    let setup = Setup::new(SETUP);
    let volumes = || {
        let run = setup.run(&["deploy", "--yes"], "", &[]);
        assert_eq!(run.code, 0, "{}", run.output);
        let compose: serde_json::Value = yaml_serde::from_str(&setup.project.read("deploy/compose.yaml")).unwrap();
        ["shop-web", "shop-jobs"].map(|name| compose["services"][name]["volumes"][0].as_str().unwrap().to_owned())
    };
    let jobs = "  - name: shop-jobs\n    worker: [report]\nworker: [{name: report, generator_type: daemon}]\n";
    let config = setup.project.read("kennel.yaml");
    setup.project.write("kennel.yaml", &format!("{config}{jobs}"));
    assert_eq!(volumes(), ["shop-web:/data", "shop-web:/data"]);
    setup.project.replace("kennel.yaml", "[sqlite, postgres]", "[postgres, sqlite]");
    assert_eq!(volumes(), ["shop-web:/data", "shop-jobs:/data"]);
}

#[test]
fn a_project_without_an_image_is_not_deployed() {
    let setup = Setup::of(Project::new(ANSWERS), SETUP);
    let run = setup.run(&["deploy", "--yes"], "", &[]);
    assert_eq!((run.code, run.output.as_str()), (70, "error: a deployment needs platform.git\n"));
    assert!(!setup.project.root.join("deploy").exists());
}

/// The answers that are typed are stored, and give the same steps again.
#[test]
fn answers_are_asked_for_once() {
    let setup = Setup::new("");
    let input = "github\nteam/shop\nselfhosted\nimages.example.com/team\npusher\n\none\none.example.com\n\ny\ntwo\ntwo.example.com\n2222\nn\n\n\none\nn\n";
    // Not lost if a step cannot be made: this server is not known.
    let unknown = input.replace("one.example.com", "three.example.com");
    let run = setup.run(&["ci"], &format!("{unknown}y\n"), &[]);
    assert!(run.code == 70 && run.output.contains("is not a known host"), "{}", run.output);
    assert!(setup.project.read("setup.yaml").contains("three.example.com"));
    fs::remove_file(setup.project.root.join("setup.yaml")).unwrap();

    let run = setup.run(&["ci"], &format!("{input}y\ny\n"), &[("REGISTRY_PASSWORD", PASSWORD)]);
    assert_eq!(run.code, 0, "{}", run.output);
    assert_eq!(run.calls.len(), 8, "{:?}", run.calls);
    assert!(run.output.contains("+provider: github\n"), "{}", run.output);
    let again = setup.run(&["ci", "--yes"], "", &[("REGISTRY_PASSWORD", PASSWORD)]);
    assert_eq!(again.calls, run.calls);
}

#[test]
fn answers_cannot_become_options_of_programs() {
    let setup = Setup::new(
        &SETUP
            .replace("one.example.com", "-oProxyCommand=x")
            .replace("[one]", "[three]")
            .replace("branch: release", "branch: main")
            .replace("  user: pusher\n", ""),
    );
    let run = setup.run(&["server", "--yes"], "", &[]);
    assert_eq!((run.code, &run.calls[..]), (64, &[][..]));
    for problem in [
        "setup.yaml:8:23: must be letters, digits and `-`, `_`, `.`, `/`, `:`, and start with a letter or digit\n",
        "setup.yaml:4:3: `user` is missing: `selfhosted` needs it\n",
        "there is no server `three`\n",
        "setup.yaml:12:32: the branch `main` is already used\n",
    ] {
        assert!(run.output.contains(problem), "{}", run.output);
    }
}
