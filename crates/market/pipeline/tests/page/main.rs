//! The page of analytics-api in a real browser. The tests are JavaScript, next to this file; Node runs them against the whole
//! system, with the packages and helpers of the tests of dogs' gallery.

use std::path::Path;
use std::process::Command;

use kennel_testkit::Backend;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/page");
const GALLERY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../dogs/server/tests/gallery");

#[test]
fn page() {
    let Some(chromium) = Backend::Chromium.address() else { return };
    let installed = Command::new(Path::new(GALLERY).join("run")).arg("install").status().unwrap();
    assert!(installed.success(), "{installed}");
    let test = Command::new("node")
        .args(["--test", "--test-reporter=spec", "page.test.mjs"])
        .current_dir(FOLDER)
        .env("TEST_CHROMIUM", chromium)
        .env("MARKET_PIPELINE", env!("CARGO_BIN_EXE_market-pipeline"))
        .status()
        .unwrap();
    assert!(test.success(), "{test}");
}
