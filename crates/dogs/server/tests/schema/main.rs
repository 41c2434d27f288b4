//! The service against its own description: schemathesis reads the OpenAPI document that the service serves, makes
//! requests from it, valid and invalid ones, and holds every answer against it. A valid request that is refused, an
//! invalid one that is taken, and an answer that the document does not know are failures.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../support/mod.rs"]
mod support;

use std::fs::File;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use image::{ImageFormat, RgbImage};
use kennel_testkit::Backend;
use serde_json::Value;
use support::service_dir::{RunningService, ServiceDir};
use tokio::process::Command;
use tokio::time::timeout;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema");
/// Several times what it takes on two busy cores.
const LIMIT: Duration = Duration::from_mins(5);
/// The operations that are passed over; `schemathesis.toml` says why.
const PASSED_OVER: usize = 1;

#[tokio::test]
async fn every_answer_is_as_described() {
    let Some(program) = Backend::Schemathesis.address() else { return };
    let home = ServiceDir::new();
    let served = home.serve().await;
    let operations = operations(&served.get("/openapi.json").await.expect(200).json());
    let (status, output) = run(&program, &home, &served).await;
    assert!(status.success(), "{output}");
    let tested = format!("Tested: {}\n", operations - PASSED_OVER);
    assert!(output.contains(&tested), "not `{}`\n{output}", tested.trim());
    println!("{output}");
    served.stop().await;
}

/// How many operations the document describes.
fn operations(description: &Value) -> usize {
    let paths = description["paths"].as_object().unwrap().values();
    paths.map(|path| path.as_object().unwrap().values().filter(|part| part["operationId"].is_string()).count()).sum()
}

/// Runs schemathesis to its end; how it ended and what it wrote.
async fn run(program: &str, home: &ServiceDir, served: &RunningService) -> (ExitStatus, String) {
    let log = home.path().join("schemathesis.log");
    let file = File::create(&log).unwrap();
    let mut child = Command::new(program)
        .args(["--config-file", &format!("{FOLDER}/schemathesis.toml")])
        .args(["run", &format!("http://{}/openapi.json", served.http)])
        // What it leaves behind goes with the folder.
        .current_dir(home.path())
        .env_clear()
        .env("SCHEMATHESIS_HOOKS", format!("{FOLDER}/hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .env("PICTURES", pictures(home))
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = timeout(LIMIT, child.wait()).await;
    let output = std::fs::read_to_string(log).unwrap();
    let Ok(status) = ended else { panic!("schemathesis does not end within {LIMIT:?}\n{output}") };
    (status.unwrap(), output)
}

/// A folder with a small picture of each format, under the name of its media type.
fn pictures(home: &ServiceDir) -> PathBuf {
    let folder = home.path().join("pictures");
    std::fs::create_dir(&folder).unwrap();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let name = format.to_mime_type().strip_prefix("image/").unwrap();
        write(&folder.join(name), format);
    }
    folder
}

fn write(path: &Path, format: ImageFormat) {
    let mut file = Cursor::new(Vec::new());
    RgbImage::new(2, 2).write_to(&mut file, format).unwrap();
    std::fs::write(path, file.into_inner()).unwrap();
}
