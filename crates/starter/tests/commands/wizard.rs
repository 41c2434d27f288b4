//! `kennel new` without answers.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// Runs the program with what is typed.
fn typed(folder: &Path, program: &mut Command, input: &str) -> Output {
    super::with_input(program.current_dir(folder), input)
}

fn new() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kennel"));
    command.args(["new", "kennel-shop/orders"]);
    command
}

/// Without `platform`, the clone around the folder is the platform.
fn clone() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let service = folder.path().join("crates/platform/service");
    fs::create_dir_all(&service).unwrap();
    fs::write(service.join("Cargo.toml"), "").unwrap();
    folder
}

#[test]
fn answers_become_a_project_that_can_be_made_again() {
    let folder = clone();
    // Two invalid answers are asked for again; an empty line is the default.
    let input = "Orders\n\nOrders of a shop\nbox\npony\nponies\npostgres sqlite\n\ny\nn\ny\n\n";
    let output = typed(folder.path(), &mut new(), input);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("  must be lower-case words joined by `-`, such as `shop-api`\n"), "{text}");
    assert!(text.contains("  `box` has another meaning in the generated code\n"), "{text}");
    let expected = "main:\n  name: orders\n  description: \"Orders of a shop\"\nentity:\n  name: pony\n  plural: ponies\n\
                    storage: [postgres, sqlite]\nrest:\n  - name: web\ngrpc:\n  - name: rpc\nworker:\n  - name: report\n    generator_type: schedule\n    interval: 1h\n\
                    applications:\n  - name: orders-server\n    transport: [{name: web}, {name: rpc}]\n  - name: orders-background\n    worker: [report]\n";
    assert!(text.contains(&format!("\nkennel.yaml:\n{expected}")), "{text}");
    let project = folder.path().join("kennel-shop/orders");
    assert!(fs::read_to_string(project.join("kennel.yaml")).unwrap().starts_with(expected));
    assert!(project.join("apps/orders-background/src/lib.rs").exists());
    // The file is the answers.
    let arguments = ["new", "kennel-shop/again", "--answers", "kennel-shop/orders/kennel.yaml"];
    let (code, text) = super::run(folder.path(), &arguments);
    assert_eq!(code, 0, "{text}");
    let main =
        |name: &str| fs::read(folder.path().join("kennel-shop").join(name).join("crates/domain/src/lib.rs")).unwrap();
    assert_eq!(main("again"), main("orders"));
}

#[test]
fn nothing_is_created_unasked() {
    for (input, code) in [("", 70), ("orders\n\n\n\n\n\n\n\n\n", 70), ("orders\n\n\n\n\n\n\n\n\nn\n", 0)] {
        let folder = clone();
        let output = typed(folder.path(), &mut new(), input);
        assert_eq!(output.status.code(), Some(code), "{input:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(!folder.path().join("kennel-shop").exists(), "{input:?}");
    }
}

/// As somebody sees it: `script` is a terminal.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_is_asked() {
    let folder = clone();
    let mut command = Command::new("script");
    command.args([
        "--quiet",
        "--return",
        "--command",
        &format!("{} new shop", env!("CARGO_BIN_EXE_kennel")),
        "/dev/null",
    ]);
    let output = typed(folder.path(), &mut command, &"\n".repeat(10));
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("Name of the project [shop]: "), "{text}");
    assert!(text.contains("created shop with "), "{text}");
}
