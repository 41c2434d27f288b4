//! The objectives that services declare in `services.toml`.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::Error;
use crate::slo::{FURTHER_OBJECTIVES, OBJECTIVES, Objective};

/// A service that declares its objectives.
#[derive(Debug, Clone)]
pub struct ServiceObjectives {
    /// Its name, which is the value of the label `job`.
    pub service: String,
    /// Its objectives.
    pub objectives: Vec<Objective>,
}

#[derive(Deserialize)]
struct Entry {
    /// Percentages by the name of the objective.
    objectives: Option<BTreeMap<String, f64>>,
}

/// The services with objectives of their own. All others have [`OBJECTIVES`].
pub fn declared() -> Result<Vec<ServiceObjectives>, Error> {
    parse(include_str!("../../../../services.toml"))
}

fn parse(text: &str) -> Result<Vec<ServiceObjectives>, Error> {
    let entries: BTreeMap<String, Entry> = toml::from_str(text)?;
    let declared = entries.into_iter().filter_map(|(service, entry)| Some((service, entry.objectives?)));
    declared.map(|(service, percentages)| of_service(service, &percentages)).collect()
}

fn of_service(service: String, percentages: &BTreeMap<String, f64>) -> Result<ServiceObjectives, Error> {
    let mut objectives = Vec::new();
    for (name, percentage) in percentages {
        let invalid = || Error::Objective { service: service.clone(), objective: name.clone() };
        let mut known = OBJECTIVES.into_iter().chain(FURTHER_OBJECTIVES);
        let known = known.find(|known| known.name == *name).ok_or_else(invalid)?;
        if !(50.0..100.0).contains(percentage) {
            return Err(invalid());
        }
        objectives.push(known.with_budget((100.0 - percentage) / 100.0));
    }
    Ok(ServiceObjectives { service, objectives })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objectives_are_percentages_of_known_indicators() {
        let text = "[a]\napi = 'x'\n[b]\nobjectives = { latency = 99, availability = 99.5 }";
        let declared = parse(text).unwrap();
        let [b] = &declared[..] else { panic!("{declared:?}") };
        assert_eq!(b.service, "b");
        let budgets: Vec<_> = b.objectives.iter().map(|one| (one.name, format!("{:.3}", one.budget))).collect();
        assert_eq!(budgets, [("availability", "0.005".to_owned()), ("latency", "0.010".to_owned())]);
        for (name, value) in [("speed", "99"), ("latency", "100"), ("latency", "0.99")] {
            let error = parse(&format!("[b]\nobjectives = {{ {name} = {value} }}")).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
