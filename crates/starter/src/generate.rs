//! Renders a configuration to the files of a project, in memory. The same configuration gives the same bytes.

mod variables;
mod workspace;

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use crate::config::Config;
use crate::rustfmt;
use crate::spec::STORES;
use crate::templates::{self, Source, Template};
use crate::words::{self, Words};

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

/// All files of a project.
pub fn files(config: &Config) -> anyhow::Result<Files> {
    let mut renderer = Renderer::new(config)?;
    let project = variables::project(config);
    for template in templates::PROJECT.iter().filter(|template| (template.needs)(config)) {
        renderer.render(template, "", &project)?;
    }
    for application in &config.applications {
        let variables = variables::application(config, application);
        for template in templates::APPLICATION {
            renderer.render(template, &application.name, &variables)?;
        }
    }
    for consumer in &config.kafka {
        renderer.render(templates::consumer(), &consumer.name, &variables::module(config, &consumer.name, "1h"))?;
    }
    for worker in &config.worker {
        let variables = variables::module(config, &worker.name, &worker.interval);
        renderer.render(templates::worker(worker), &worker.name, &variables)?;
    }
    let Renderer { mut texts, mut ids, .. } = renderer;
    if !config.platform.workspace {
        ids.insert("Cargo.toml".to_owned(), "Cargo.toml".to_owned());
        let needed = workspace::dependencies(&texts)?;
        texts.insert("Cargo.toml".to_owned(), workspace::manifest(config, &needed)?);
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
