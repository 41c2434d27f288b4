//! The committed contracts under `api/market/simulator/`, which `make generate` writes.

use std::path::Path;

use kennel_service::contracts;

use crate::MarketSimulator;

/// `UPDATE=1` rewrites the committed files.
#[test]
fn committed_files_match_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..");
    let files = contracts::files::<MarketSimulator>(env!("CARGO_PKG_VERSION")).unwrap();
    let stale = contracts::stale(&root, &files, std::env::var_os("UPDATE").is_some()).unwrap();
    assert!(stale.is_empty(), "stale: {stale:?}; `make generate` writes them");
}
