//! Formats generated code with the `rustfmt` of the toolchain, since the length of names decides where lines break.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};

/// The settings of the generated projects, which are those of the platform.
pub const SETTINGS: &str = include_str!("../../../rustfmt.toml");

/// Formats the Rust files among `files`, which have their paths as keys. One process formats all, since a start takes longer
/// than the work.
pub fn format(files: &mut BTreeMap<String, String>) -> anyhow::Result<()> {
    let folder = tempfile::tempdir().context("cannot create a temporary folder")?;
    // The nearest file decides, so no other settings apply.
    fs::write(folder.path().join("rustfmt.toml"), SETTINGS)?;
    let code: Vec<_> = files.keys().filter(|path| is_rust(path)).cloned().collect();
    for path in &code {
        let file = folder.path().join(path);
        fs::create_dir_all(file.parent().unwrap_or(folder.path()))?;
        fs::write(file, &files[path])?;
    }
    let roots = code.iter().filter(|path| is_root(path));
    let output = Command::new("rustfmt")
        .args(["--edition=2024", "--style-edition=2024"])
        .args(roots)
        .current_dir(folder.path())
        .output()
        .context("cannot run rustfmt; install it with: rustup component add rustfmt")?;
    if !output.status.success() {
        bail!("rustfmt refuses generated code: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    for path in code {
        let formatted = fs::read_to_string(folder.path().join(&path))?;
        files.insert(path, formatted);
    }
    Ok(())
}

/// Whether a file contains Rust code.
pub fn is_rust(path: &str) -> bool {
    has_extension(path, "rs")
}

/// Whether the name of a file ends with an extension.
pub fn has_extension(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|known| known == extension)
}

/// Whether it is the first file of a crate: rustfmt formats its modules with it.
fn is_root(path: &str) -> bool {
    let mut components = path.rsplit('/');
    let (file, folder) = (components.next().unwrap_or_default(), components.next().unwrap_or_default());
    match folder {
        "src" => file == "lib.rs" || file == "main.rs",
        "tests" => true,
        _ if components.next() == Some("tests") => file == "main.rs",
        _ => file == "build.rs",
    }
}
