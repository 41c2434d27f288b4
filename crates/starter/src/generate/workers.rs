//! The variables of templates for queues, bots and drivers.

use std::collections::BTreeSet;

use minijinja::{Value, context};

use super::code::doc;
use super::variables::ident;
use crate::config::{Application, Config, DriverKind, Worker, WorkerKind};
use crate::contract::names::{pascal, snake};
use crate::contract::{Contracts, Task};
use crate::words;

/// Of the files of the whole project.
pub(super) fn of_project(config: &Config) -> Value {
    let queues: Vec<_> = config.worker_kind(WorkerKind::Queue).map(|worker| ident(&worker.name)).collect();
    let custom = config.driver.iter().filter(|driver| driver.generator_type == DriverKind::Custom);
    let mut drivers: Vec<_> = custom.map(|driver| ident(&driver.name)).collect();
    drivers.sort();
    context! { queues => queues, drivers => drivers, bots => config.worker_kind(WorkerKind::Telegram).next().is_some() }
}

fn row(name: &str) -> Value {
    context! { name => name, module => ident(name), Name => words::pascal(name) }
}

/// Of the files of an application.
pub(super) fn of_application(config: &Config, contracts: &Contracts, app: &Application) -> Value {
    let bots: Vec<_> = config.workers_of(app, WorkerKind::Telegram).map(|worker| row(&worker.name)).collect();
    let runs: Vec<_> = config.workers_of(app, WorkerKind::Queue).collect();
    let names: BTreeSet<_> = runs.iter().map(|worker| &worker.name).chain(&app.queue).collect();
    let known = |name: &&String| {
        let tasks: Vec<_> = contracts.tasks.get(*name).into_iter().flatten().map(task_type).collect();
        context! { tasks => tasks, ..row(name) }
    };
    let drivers: Vec<_> = config
        .drivers_of(app)
        .map(|driver| {
            let (kind, ty) = match driver.generator_type {
                DriverKind::S3 => ("s3", "Arc<dyn ObjectStore>".to_owned()),
                DriverKind::Telegram => ("telegram", "Bot".to_owned()),
                DriverKind::Custom => ("custom", format!("{}Driver", words::pascal(&driver.name))),
            };
            context! { kind => kind, ty => ty, ..row(&driver.name) }
        })
        .collect();
    let is_kind = |kind| config.drivers_of(app).any(|driver| driver.generator_type == kind);
    let runs = runs.into_iter().map(|worker| run(config, contracts, worker)).collect::<Vec<_>>();
    let has_bots = !bots.is_empty();
    // Without a server, a test can add a task as another process would.
    let tests_queue = !runs.is_empty() && config.storage[0] == "sqlite";
    context! { bots => bots, queues => names.iter().map(known).collect::<Vec<_>>(), runs => runs,
    adds => app.queue.iter().map(|name| row(name)).collect::<Vec<_>>(), drivers => drivers,
    objects => config.has_objects(app), s3 => config.has_s3(), any_custom => is_kind(DriverKind::Custom),
    any_telegram => is_kind(DriverKind::Telegram) || has_bots, tests_queue => tests_queue, settings => config.has_settings(app) }
}

/// A queue that an application runs, with a task of it as a test adds it.
fn run(config: &Config, contracts: &Contracts, worker: &Worker) -> Value {
    let tasks = contracts.tasks.get(&worker.name);
    let first = tasks.and_then(|tasks| tasks.first()).map(task);
    context! { first => first, ..queue(config, worker, tasks.map(Vec::as_slice).unwrap_or_default()) }
}

/// Of the modules of a queue.
pub(super) fn queue(config: &Config, worker: &Worker, tasks: &[Task]) -> Value {
    context! { project => config.main.name.clone(), ident => ident(&config.main.name), path => worker.path.clone(),
    tasks => tasks.iter().map(task).collect::<Vec<_>>(), ..row(&worker.name) }
}

fn task_type(task: &Task) -> String {
    format!("{}Task", pascal(&task.name).unwrap_or_default())
}

fn task(task: &Task) -> Value {
    let otherwise = format!("The task `{}`.", task.name);
    let field = |field: &crate::contract::tasks::TaskField| {
        let (ty, example) = rust_type(&field.kind);
        context! { name => field.name.clone(), ident => snake(&field.name), ty => ty, example => example }
    };
    let key = task.key.as_ref().and_then(|key| task.fields.iter().find(|field| field.name == *key));
    let key = key.and_then(|field| {
        let copy = if field.kind == "string" { "clone" } else { "to_string" };
        Some(format!("self.{}.{copy}()", snake(&field.name)?))
    });
    context! { name => task.name.clone(), ty => task_type(task), fn => snake(&task.name),
    doc => doc(&task.description, &otherwise).trim_end().to_owned(), key => key,
    fields => task.fields.iter().map(field).collect::<Vec<_>>() }
}

/// The type of a field, and a value of it.
fn rust_type(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "string" => ("String", "\"text\".to_owned()"),
        "float64" => ("f64", "0.5"),
        "bool" => ("bool", "true"),
        "[]byte" => ("Vec<u8>", "vec![1]"),
        "[]string" => ("Vec<String>", "vec![\"text\".to_owned()]"),
        "[]int" | "[]int64" => ("Vec<i64>", "vec![1]"),
        _ => ("i64", "1"),
    }
}
