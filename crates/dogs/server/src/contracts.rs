//! Every committed file that is generated from the code: the contracts under `api/dogs/` and the reference of the settings.

use kennel_service::contracts::{self, ContractError};

use crate::Dogs;

/// The files: for each its path in the repository and its content.
pub fn files() -> Result<Vec<(String, String)>, ContractError> {
    let mut files = contracts::files::<Dogs>(env!("CARGO_PKG_VERSION"))?;
    files.push(("docs/configuration.md".to_owned(), contracts::configuration::<Dogs>()));
    Ok(files)
}

#[cfg(test)]
mod tests {
    use dogs_domain::events;
    use kennel_service::Service as _;

    use super::*;

    /// `UPDATE=1` rewrites the committed files.
    #[test]
    fn committed_files_match_the_code() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../../..");
        contracts::check_files(root, &files().unwrap()).unwrap();
    }

    #[test]
    fn every_route_has_an_access_rule() {
        contracts::check_access::<Dogs>().unwrap();
    }

    #[test]
    fn all_events_share_one_topic() {
        assert_eq!(Dogs::events().topics(), [events::TOPIC]);
    }
}
