//! Renders a configuration to the files of a project, in memory. The same configuration gives the same bytes.

mod code;
mod commands;
mod contracts;
mod helm;
mod infra;
mod packages;
mod stand;
mod variables;
mod workers;
mod workspace;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::config::{Config, DriverKind, KafkaKind, WorkerKind};
use crate::contract::Contracts;
use crate::rustfmt;
use crate::spec::STORES;
use crate::templates::{self, Source, Template};
use crate::words::{self, Words};

pub(crate) use code::errors::unsupported;

/// A generated file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// The template, and for which application or worker: the same when only the path changes, with a name.
    pub id: String,
    /// The content.
    pub text: String,
}

/// Generated files by their paths, whose folders are separated by `/`.
pub type Files = BTreeMap<String, File>;

/// The texts of other folders that files are made from.
pub(crate) fn texts() -> impl Iterator<Item = &'static str> {
    infra::TEXTS.into_iter().chain(stand::texts()).chain(helm::texts())
}

/// All files of a project.
pub fn files(config: &Config, contracts: &Contracts) -> anyhow::Result<Files> {
    let mut renderer = Renderer::new(config)?;
    contracts::render(&mut renderer, config, contracts)?;
    let project = variables::project(config, contracts, &renderer.code_in("crates/contracts/"));
    for template in templates::PROJECT.iter().filter(|template| (template.needs)(config)) {
        renderer.render(template, "", &project)?;
    }
    for application in &config.applications {
        let variables = variables::application(config, contracts, application);
        for template in templates::of_application(config, application) {
            renderer.render(template, &application.name, &variables)?;
        }
    }
    for consumer in config.kafka.iter().filter(|kafka| kafka.kind == KafkaKind::Consumer) {
        if consumer.events.is_empty() {
            renderer.render(templates::consumer(), &consumer.name, &variables::module(config, &consumer.name, "1h"))?;
        } else {
            let variables = variables::typed(config, consumer, contracts);
            renderer.render(templates::typed_consumer(), &consumer.name, &variables)?;
        }
    }
    for worker in &config.worker {
        let variables = if worker.generator_type == WorkerKind::Queue {
            let tasks = contracts.tasks.get(&worker.name).map(Vec::as_slice).unwrap_or_default();
            let variables = workers::queue(config, worker, tasks);
            renderer.render(templates::queue(), &worker.name, &variables)?;
            variables
        } else {
            variables::module(config, &worker.name, &worker.interval)
        };
        renderer.render(templates::worker(worker), &worker.name, &variables)?;
    }
    for driver in config.driver.iter().filter(|driver| driver.generator_type == DriverKind::Custom) {
        renderer.render(templates::driver(), &driver.name, &variables::module(config, &driver.name, "1h"))?;
    }
    if config.has_dashboards() {
        infra::render(&mut renderer, config)?;
    }
    if config.has_chart() {
        helm::render(&mut renderer, config)?;
    }
    packages::render(&mut renderer, config)?;
    if config.main.dev_stand {
        stand::render(&mut renderer, config)?;
    }
    let Renderer { mut texts, mut ids, .. } = renderer;
    if !config.platform.workspace {
        ids.insert("Cargo.toml".to_owned(), "Cargo.toml".to_owned());
        let manifest = workspace::manifest(config, &texts)?;
        texts.insert("Cargo.toml".to_owned(), manifest);
    }
    rustfmt::format(&mut texts)?;
    let file = |(path, text): (String, String)| {
        let id = ids.remove(&path).unwrap_or_else(|| path.clone());
        (path, File { id, text })
    };
    Ok(texts.into_iter().map(file).collect())
}

/// Renders templates into a list of files.
struct Renderer<'a> {
    words: Words,
    absent: Vec<&'a str>,
    /// For templates whose comments start with `//`, and with `#`.
    slashes: Environment<'static>,
    hashes: Environment<'static>,
    texts: BTreeMap<String, String>,
    ids: BTreeMap<String, String>,
}

fn environment(statement: &'static str) -> anyhow::Result<Environment<'static>> {
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder()
        .variable_delimiters("«", "»")
        .block_delimiters("«%", "%»")
        .comment_delimiters("«#", "#»")
        .line_statement_prefix(statement)
        .keep_trailing_newline(true)
        .build()?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    Ok(environment)
}

impl<'a> Renderer<'a> {
    fn new(config: &'a Config) -> anyhow::Result<Self> {
        Ok(Self {
            words: Words::new(&config.entity.name, &config.entity.plural()),
            absent: STORES.into_iter().filter(|store| !config.has_store(store)).collect(),
            slashes: environment("//%")?,
            hashes: environment("#%")?,
            texts: BTreeMap::new(),
            ids: BTreeMap::new(),
        })
    }

    /// Adds the file of a template. `owner` is the application or worker that it is of.
    fn render(&mut self, template: &Template, owner: &str, variables: &Value) -> anyhow::Result<()> {
        let path = self.slashes.render_str(&self.words.apply(template.path), variables)?;
        let is_rust = rustfmt::is_rust(template.path);
        let environment = if is_rust { &self.slashes } else { &self.hashes };
        let source = self.source(&template.source).with_context(|| format!("template of {path}"))?;
        let text = environment.render_str(&source, variables).with_context(|| format!("template of {path}"))?;
        let text = if is_rust { words::without_stores(&text, &self.absent) } else { text };
        let id = if owner.is_empty() { template.path.to_owned() } else { format!("{} {owner}", template.path) };
        self.ids.insert(path.clone(), id);
        if self.texts.insert(path.clone(), text).is_some() {
            bail!("two templates are at {path}");
        }
        Ok(())
    }

    /// The code that was rendered into a folder.
    fn code_in(&self, folder: &str) -> String {
        let code = self.texts.iter().filter(|(path, _)| path.starts_with(folder) && rustfmt::is_rust(path));
        code.map(|(_, text)| text.as_str()).collect()
    }

    /// Adds a file of code, which is made for a document. `owner` is the entry of the configuration.
    fn add(&mut self, path: String, kind: &str, owner: &str, text: String) -> anyhow::Result<()> {
        if self.texts.contains_key(&path) {
            bail!("two files are at {path}");
        }
        self.ids.insert(path.clone(), format!("{kind} {owner}"));
        self.texts.insert(path, text);
        Ok(())
    }

    /// The text of a template in the words of the entity, before variables are inserted.
    fn source(&self, source: &Source) -> anyhow::Result<String> {
        let text = match source {
            Source::Own(text) => (*text).to_owned(),
            Source::Notes(text, replacements) => {
                let mut result = (*text).to_owned();
                for (from, to) in *replacements {
                    if !result.contains(from) {
                        bail!("the file of notes does not contain `{from}`");
                    }
                    result = result.replace(from, to);
                }
                result
            }
        };
        Ok(self.words.apply(&text))
    }
}

#[cfg(test)]
mod tests;
