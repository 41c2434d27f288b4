//! Tests the service against its OpenAPI document: schemathesis generates valid and invalid requests from the document and
//! validates all responses. A rejected valid request, an accepted invalid request and an undocumented response are failures.

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

const DIRECTORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schema");
/// Several times the duration on two busy cores.
const RUN_TIMEOUT: Duration = Duration::from_mins(5);
/// The number of skipped operations; `schemathesis.toml` has the reasons.
const SKIPPED: usize = 1;

#[tokio::test]
async fn responses_match_the_openapi_document() {
    let Some(program) = Backend::Schemathesis.address() else { return };
    let directory = ServiceDir::new();
    let served = directory.serve().await;
    let operations = operations(&served.get("/openapi.json").await.expect(200).json());
    let (status, output) = run(&program, &directory, &served).await;
    assert!(status.success(), "{output}");
    let tested = format!("Tested: {}\n", operations - SKIPPED);
    assert!(output.contains(&tested), "not `{}`\n{output}", tested.trim());
    println!("{output}");
    served.stop().await;
}

/// The number of operations in the document.
fn operations(description: &Value) -> usize {
    let paths = description["paths"].as_object().unwrap().values();
    paths.map(|path| path.as_object().unwrap().values().filter(|value| value["operationId"].is_string()).count()).sum()
}

/// Runs schemathesis; returns its exit status and its output.
async fn run(program: &str, directory: &ServiceDir, served: &RunningService) -> (ExitStatus, String) {
    let log = directory.path().join("schemathesis.log");
    let file = File::create(&log).unwrap();
    let mut child = Command::new(program)
        .args(["--config-file", &format!("{DIRECTORY}/schemathesis.toml")])
        .args(["run", &format!("http://{}/openapi.json", served.http)])
        // Its files are removed with the directory.
        .current_dir(directory.path())
        .env_clear()
        .env("SCHEMATHESIS_HOOKS", format!("{DIRECTORY}/hooks.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONUTF8", "1")
        .env("IMAGES", images(directory))
        .stdout(file.try_clone().unwrap())
        .stderr(file)
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let ended = timeout(RUN_TIMEOUT, child.wait()).await;
    let output = std::fs::read_to_string(log).unwrap();
    let Ok(status) = ended else { panic!("schemathesis does not exit within {RUN_TIMEOUT:?}\n{output}") };
    (status.unwrap(), output)
}

/// A directory with a small image of each format, named by its media type.
fn images(directory: &ServiceDir) -> PathBuf {
    let images = directory.path().join("images");
    std::fs::create_dir(&images).unwrap();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP] {
        let name = format.to_mime_type().strip_prefix("image/").unwrap();
        write(&images.join(name), format);
    }
    images
}

fn write(path: &Path, format: ImageFormat) {
    let mut file = Cursor::new(Vec::new());
    RgbImage::new(2, 2).write_to(&mut file, format).unwrap();
    std::fs::write(path, file.into_inner()).unwrap();
}
