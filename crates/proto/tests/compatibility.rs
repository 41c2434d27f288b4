//! Checks that packages whose messages others store or read are only extended: what was published is in
//! `tests/published/<package>.binpb`, as encoded descriptors. A package that breaks it needs a new version, such as `market.v2`.
//! After an addition is released, `src/gen/<package>.binpb` is copied there.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

/// What must not change, by the full name of what it belongs to.
type Contract = BTreeMap<String, String>;

/// The contract of the files of a package; imports of others are not its own.
fn contract(package: &str, descriptors: &FileDescriptorSet) -> Contract {
    let mut contract = Contract::new();
    for file in descriptors.file.iter().filter(|file| file.package() == package) {
        file.message_type.iter().for_each(|message| add_message(&mut contract, package, message));
        file.enum_type.iter().for_each(|found| add_enum(&mut contract, package, found));
        file.service.iter().for_each(|service| add_service(&mut contract, package, service));
    }
    contract
}

fn add_message(contract: &mut Contract, scope: &str, message: &DescriptorProto) {
    let name = format!("{scope}.{}", message.name());
    contract.insert(name.clone(), "message".to_owned());
    for field in &message.field {
        let of_type = (field.r#type(), field.type_name(), field.label(), field.proto3_optional(), field.oneof_index);
        let text = format!("{} {of_type:?}", field.name());
        contract.insert(format!("{name} field {}", field.number()), text);
    }
    message.nested_type.iter().for_each(|nested| add_message(contract, &name, nested));
    message.enum_type.iter().for_each(|nested| add_enum(contract, &name, nested));
}

fn add_enum(contract: &mut Contract, scope: &str, found: &EnumDescriptorProto) {
    for value in &found.value {
        contract.insert(format!("{scope}.{} value {}", found.name(), value.number()), value.name().to_owned());
    }
}

fn add_service(contract: &mut Contract, scope: &str, service: &ServiceDescriptorProto) {
    for method in &service.method {
        let streams = (method.client_streaming(), method.server_streaming());
        let text = format!("{} -> {} {streams:?}", method.input_type(), method.output_type());
        contract.insert(format!("{scope}.{}.{}", service.name(), method.name()), text);
    }
}

/// What was published and is different now.
fn breaks(published: &Contract, current: &Contract) -> Vec<String> {
    let changed = published.iter().filter(|(name, expected)| current.get(*name) != Some(expected));
    changed.map(|(name, expected)| format!("{name}: was `{expected}`, is {:?}", current.get(name))).collect()
}

fn read(path: &Path) -> FileDescriptorSet {
    FileDescriptorSet::decode(&std::fs::read(path).unwrap()[..]).unwrap()
}

fn market(change: impl FnOnce(&mut FileDescriptorSet)) -> (Contract, Contract) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let published = read(&root.join("tests/published/market.v1.binpb"));
    let mut changed = published.clone();
    change(&mut changed);
    (contract("market.v1", &published), contract("market.v1", &changed))
}

#[test]
fn published_packages_are_only_extended() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packages = 0;
    for entry in std::fs::read_dir(root.join("tests/published")).unwrap() {
        let path = entry.unwrap().path();
        let package = path.file_stem().unwrap().to_str().unwrap();
        let current = read(&root.join("src/gen").join(path.file_name().unwrap()));
        let published = contract(package, &read(&path));
        assert!(published.len() > 10, "{package} is read");
        assert_eq!(breaks(&published, &contract(package, &current)), Vec::<String>::new(), "{package}");
        packages += 1;
    }
    assert!(packages > 0);
}

#[test]
fn what_breaks_readers_is_found() {
    /// A change of the message `Trade`, whose first field is `venue`, and the name of what it breaks.
    type Case = (fn(&mut DescriptorProto), &'static str);
    let cases: [Case; 6] = [
        (|trade| trade.name = Some("Deal".to_owned()), "market.v1.Trade"),
        (|trade| drop(trade.field.remove(0)), "market.v1.Trade field 1"),
        (|trade| trade.field[0].name = Some("exchange".to_owned()), "market.v1.Trade field 1"),
        (|trade| trade.field[0].number = Some(20), "market.v1.Trade field 1"),
        // Readers of version 1 would read another number.
        (|trade| trade.field[2].set_type(prost_types::field_descriptor_proto::Type::Int32), "market.v1.Trade field 3"),
        (
            |trade| trade.field[0].set_label(prost_types::field_descriptor_proto::Label::Repeated),
            "market.v1.Trade field 1",
        ),
    ];
    for (change, broken) in cases {
        let (published, changed) = market(|descriptors| {
            let messages = descriptors.file.iter_mut().flat_map(|file| &mut file.message_type);
            messages.into_iter().filter(|message| message.name() == "Trade").for_each(change);
        });
        let breaks = breaks(&published, &changed);
        assert!(breaks[0].starts_with(broken), "{broken}: {breaks:?}");
    }
    let (published, changed) = market(|descriptors| {
        descriptors.file.iter_mut().for_each(|file| {
            file.service.clear();
            file.enum_type.iter_mut().for_each(|found| found.value.truncate(2));
        });
    });
    let breaks = breaks(&published, &changed);
    assert!(breaks.iter().any(|text| text.starts_with("market.v1.CandleService.ListCandles")), "{breaks:?}");
    assert!(breaks.iter().any(|text| text.starts_with("market.v1.Side value 2")), "{breaks:?}");
}

#[test]
fn an_addition_breaks_nothing() {
    let (published, changed) = market(|descriptors| {
        for file in &mut descriptors.file {
            for message in &mut file.message_type {
                let mut field = message.field[0].clone();
                (field.name, field.number) = (Some("added".to_owned()), Some(1_000));
                message.field.push(field);
            }
            file.message_type
                .push(DescriptorProto { name: Some(format!("Added{}", file.name().len())), ..Default::default() });
        }
    });
    assert!(changed.len() > published.len());
    assert_eq!(breaks(&published, &changed), Vec::<String>::new());
}
