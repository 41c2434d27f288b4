//! The files for the documents of the user.

use super::code::{client, events, mock, operations, routes};
use super::{Renderer, commands, variables};
use crate::config::{Config, GrpcKind, KafkaKind, Rest, RestKind};
use crate::contract::{Api, Contracts};
use crate::templates;

/// Renders the files of all documents.
pub(super) fn render(renderer: &mut Renderer<'_>, config: &Config, contracts: &Contracts) -> anyhow::Result<()> {
    for (rest, api) in config.rest.iter().filter_map(|rest| Some((rest, contracts.apis.get(&rest.name)?))) {
        let module = variables::ident(&rest.name);
        let is_server = rest.generator_type == RestKind::Openapi;
        let path = rest.path.as_deref().unwrap_or_default();
        let document = format!("{module}.openapi.json");
        let code = operations::module(api, path, &document, is_server);
        renderer.add(
            format!("crates/contracts/src/{module}.rs"),
            "crates/contracts/src/«module».rs",
            &rest.name,
            code,
        )?;
        if is_server {
            let at = format!("crates/contracts/src/{document}");
            renderer.add(at, "crates/contracts/src/«module».openapi.json", &rest.name, api.document.clone())?;
            server(renderer, config, rest, api, &module)?;
        } else {
            clients(renderer, config, rest, api, &module)?;
        }
    }
    for event in &contracts.events {
        let folder = format!("crates/contracts/src/{}", variables::ident(&event.set));
        let (module, owner) = (variables::ident(&event.id), format!("{} {}", event.set, event.id));
        let document = format!("{module}.schema.json");
        let code = events::module(event, &document);
        renderer.add(format!("{folder}/{module}.rs"), "crates/contracts/src/«set»/«module».rs", &owner, code)?;
        let text = event.schema.document.clone();
        renderer.add(
            format!("{folder}/{document}"),
            "crates/contracts/src/«set»/«module».schema.json",
            &owner,
            text,
        )?;
    }
    for producer in config.kafka.iter().filter(|kafka| kafka.kind == KafkaKind::Producer) {
        renderer.render(templates::producer(), &producer.name, &variables::typed(config, producer, contracts))?;
    }
    for (cli, found) in config.cli.iter().filter_map(|cli| Some((cli, contracts.commands.get(&cli.name)?))) {
        for template in templates::COMMAND_LINE {
            renderer.render(template, &cli.name, &commands::command_line(config, cli, found))?;
        }
    }
    for grpc in config.grpc_kind(GrpcKind::Proto) {
        if let Some(proto) = contracts.protos.get(&grpc.name) {
            renderer.render(templates::services(), &grpc.name, &variables::services(config, grpc, proto, contracts))?;
        }
    }
    Ok(())
}

fn server(renderer: &mut Renderer<'_>, config: &Config, rest: &Rest, api: &Api, module: &str) -> anyhow::Result<()> {
    let code = routes::routes(api, module, true);
    let imports = routes::imports(&code, true);
    let contracts = format!("{}_contracts", variables::ident(&config.main.name));
    let path = rest.path.as_deref().unwrap_or_default();
    let text = format!("//! The HTTP API that `{path}` describes.\n\n{imports}use {contracts}::{module};\n\n{code}");
    renderer.add(format!("crates/transport/src/{module}.rs"), "crates/transport/src/«module».rs", &rest.name, text)?;
    renderer.render(templates::implementation(), &rest.name, &variables::implementation(config, rest, api))
}

fn clients(renderer: &mut Renderer<'_>, config: &Config, rest: &Rest, api: &Api, module: &str) -> anyhow::Result<()> {
    let contracts = format!("{}_contracts", variables::ident(&config.main.name));
    let text = client::client(api, rest, module, &contracts);
    renderer.add(format!("crates/clients/src/{module}.rs"), "crates/clients/src/«module».rs", &rest.name, text)?;
    let text = mock::mock(api, rest, module, &contracts);
    renderer.add(
        format!("crates/clients/src/{module}/mock.rs"),
        "crates/clients/src/«module»/mock.rs",
        &rest.name,
        text,
    )
}
