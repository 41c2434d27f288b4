//! Packages of the programs for deb, rpm and apk, with units of systemd.

use anyhow::Context as _;
use minijinja::context;

use super::{Renderer, variables};
use crate::config::Config;
use crate::templates;

/// Renders the packages of the applications that have some.
pub(super) fn render(renderer: &mut Renderer<'_>, config: &Config) -> anyhow::Result<()> {
    let Some(packaging) = &config.packaging else { return Ok(()) };
    let text = |text: &str| serde_json::to_string(text);
    let optional = |value: &Option<String>| value.as_deref().map(text).transpose();
    // The folder of a package is its own: programs with SQLite would not share the data.
    let is_shared = config.applications.iter().filter(|app| !app.artifacts.is_empty()).count() > 1;
    let store =
        config.storage.iter().find(|store| !is_shared || *store != "sqlite").context("a store of the packages")?;
    for (app, ports) in config.applications.iter().zip(variables::ports(config)) {
        if app.artifacts.is_empty() {
            continue;
        }
        // Alpine has no systemd.
        let units: Vec<_> = app.artifacts.iter().filter(|format| *format != "apk").cloned().collect();
        let about = config.main.description.clone().unwrap_or_else(|| format!("The service {}", app.name));
        let package = context! { maintainer => text(&packaging.maintainer)?, vendor => optional(&packaging.vendor)?,
        homepage => optional(&packaging.homepage)?, license => optional(&packaging.license)?, description => text(&about)? };
        let settings = context! { store => store.clone(), port => ports.rest, grpc => ports.grpc, sys => ports.sys };
        let package = context! { project => config.main.name.clone(), app => app.name.clone(), units => units.clone(), ..package };
        renderer.render(&templates::PACKAGE[0], &app.name, &context! { ..settings, ..package.clone() })?;
        renderer.render(&templates::PACKAGE[1], &app.name, &package)?;
        if !units.is_empty() {
            // `%` is special in a unit.
            let unit = context! { description => about.replace('%', "%%"), ..package };
            for template in templates::UNIT {
                renderer.render(template, &app.name, &unit)?;
            }
        }
    }
    Ok(())
}
