//! Targets of the Makefile that run a program.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

/// What a target needs of a fresh clone.
const FILES: [&str; 3] = ["Makefile", ".env", "services.toml"];

/// Runs `make <target>` as in a fresh clone of the repository at `root`, with `program` in the place of what Cargo would build and run.
/// The program only checks its configuration, which the Makefile and `.env` are.
///
/// # Panics
///
/// When the configuration is not valid.
pub fn has_valid_configuration(root: &Path, target: &str, program: &Path) {
    let clone = tempfile::tempdir().expect("a folder can be created");
    for file in FILES {
        fs::copy(root.join(file), clone.path().join(file)).expect("the file is in the repository");
    }
    let cargo = clone.path().join("cargo");
    fs::write(&cargo, format!("#!/bin/sh\nexec '{}' config check\n", program.display()))
        .expect("a file can be written");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it can be made executable");
    let mut make = Command::new("make");
    make.arg("--silent").arg(target).arg(format!("CARGO={}", cargo.display())).current_dir(clone.path());
    // Only what every shell has.
    make.env_clear().envs(std::env::var("PATH").map(|path| ("PATH", path)));
    let output = make.output().expect("make is installed");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("the configuration is valid"), "make {target}: {text}");
}
