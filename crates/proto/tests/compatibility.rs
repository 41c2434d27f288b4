//! Checks that packages whose messages others store or read are only extended: what was published is in
//! `tests/published/<package>.binpb`, as encoded descriptors. A package that breaks it needs a new version, such as `market.v2`.
//! After an addition is released, `src/gen/<package>.binpb` is copied there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

/// What must not change, by the full name of what it belongs to.
type Contract = BTreeMap<String, String>;

/// The contract of the files of a package; imports of others are not its own.
fn contract(package: &str, descriptors: &FileDescriptorSet) -> Contract {
    let mut contract = Contract::new();
    for file in descriptors.file.iter().filter(|file| file.package() == package) {
        for message in &file.message_type {
            add_message(&mut contract, package, message);
            contract.insert(format!("{package}.{} syntax", message.name()), file.syntax().to_owned());
        }
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

/// The packages whose messages are in topics that any engine can read.
const TOPICS: [(&str, &[u8]); 2] = [
    ("market.v1", kennel_proto::market::v1::FILE_DESCRIPTOR_SET),
    ("market.v2", kennel_proto::market::v2::FILE_DESCRIPTOR_SET),
];

/// The fields that some engine reads as something else: floats are not exact, unsigned 64-bit numbers become decimals, maps
/// become JSON, and the well-known types become structs.
fn unreadable(package: &str, descriptors: &FileDescriptorSet) -> Vec<String> {
    let files = descriptors.file.iter().filter(|file| file.package() == package);
    let messages: Vec<_> = files.flat_map(|file| &file.message_type).collect();
    let mut found = Vec::new();
    messages.iter().for_each(|message| add_unreadable(&mut found, message));
    let full = |message: &DescriptorProto| format!(".{package}.{}", message.name());
    let fields = messages.iter().map(|message| (full(message), fields_of(message))).collect::<BTreeMap<_, _>>();
    let endless = messages.iter().filter(|message| reaches(&fields, &full(message), &full(message)));
    found.extend(endless.map(|message| format!("{}: contains itself", message.name())));
    found
}

/// The types of the fields of a message and of those that are nested in it.
fn fields_of(message: &DescriptorProto) -> Vec<String> {
    let own = message.field.iter().map(|field| field.type_name().to_owned());
    own.chain(message.nested_type.iter().flat_map(fields_of)).collect()
}

/// Whether a message has, at any depth, a field of the type `wanted`.
fn reaches(fields: &BTreeMap<String, Vec<String>>, from: &str, wanted: &str) -> bool {
    let (mut seen, mut next) = (BTreeSet::new(), vec![from]);
    while let Some(message) = next.pop() {
        for field in fields.get(message).into_iter().flatten() {
            if field == wanted {
                return true;
            }
            if seen.insert(field) {
                next.push(field);
            }
        }
    }
    false
}

fn add_unreadable(found: &mut Vec<String>, message: &DescriptorProto) {
    for field in &message.field {
        let name = || format!("{}.{}", message.name(), field.name());
        match field.r#type() {
            Type::String | Type::Bool | Type::Int32 | Type::Int64 | Type::Enum => {}
            Type::Message if !field.type_name().starts_with(".google.protobuf.") => {}
            refused => found.push(format!("{}: {refused:?} {}", name(), field.type_name())),
        }
        if field.oneof_index.is_some() {
            found.push(format!("{}: oneof", name()));
        }
    }
    for nested in &message.nested_type {
        if nested.options.as_ref().is_some_and(|options| options.map_entry()) {
            found.push(format!("{}: map {}", message.name(), nested.name()));
        }
        add_unreadable(found, nested);
    }
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

/// A change of the message `Trade`, whose first field is `venue`, and the name of what is wrong with it.
type Case = (fn(&mut DescriptorProto), &'static str);

fn change_trade(descriptors: &mut FileDescriptorSet, change: fn(&mut DescriptorProto)) {
    let messages = descriptors.file.iter_mut().flat_map(|file| &mut file.message_type);
    messages.filter(|message| message.name() == "Trade").for_each(change);
}

#[test]
fn published_packages_are_only_extended() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut packages = Vec::new();
    for entry in std::fs::read_dir(root.join("tests/published")).unwrap() {
        let path = entry.unwrap().path();
        let package = path.file_stem().unwrap().to_str().unwrap();
        packages.push(package.to_owned());
        let current = read(&root.join("src/gen").join(path.file_name().unwrap()));
        let published = contract(package, &read(&path));
        assert!(published.len() > 10, "{package} is read");
        assert_eq!(breaks(&published, &contract(package, &current)), Vec::<String>::new(), "{package}");
    }
    packages.sort_unstable();
    assert_eq!(packages, TOPICS.map(|(package, _)| package), "each package of the topics is published");
}

#[test]
fn what_breaks_readers_is_found() {
    let cases: [Case; 6] = [
        (|trade| trade.name = Some("Deal".to_owned()), "market.v1.Trade"),
        (|trade| drop(trade.field.remove(0)), "market.v1.Trade field 1"),
        (|trade| trade.field[0].name = Some("exchange".to_owned()), "market.v1.Trade field 1"),
        (|trade| trade.field[0].number = Some(20), "market.v1.Trade field 1"),
        // Readers of version 1 would read another number.
        (|trade| trade.field[2].set_type(Type::Int32), "market.v1.Trade field 3"),
        (|trade| trade.field[0].set_label(Label::Repeated), "market.v1.Trade field 1"),
    ];
    for (change, broken) in cases {
        let (published, changed) = market(|descriptors| change_trade(descriptors, change));
        let breaks = breaks(&published, &changed);
        assert!(breaks[0].starts_with(broken), "{broken}: {breaks:?}");
    }
    let (published, changed) = market(|descriptors| {
        descriptors.file.iter_mut().for_each(|file| {
            file.service.clear();
            file.enum_type.iter_mut().for_each(|found| found.value.truncate(2));
        });
    });
    let found = breaks(&published, &changed);
    assert!(found.iter().any(|text| text.starts_with("market.v1.CandleService.ListCandles")), "{found:?}");
    assert!(found.iter().any(|text| text.starts_with("market.v1.Side value 2")), "{found:?}");
    let (published, changed) = market(|descriptors| {
        descriptors.file.iter_mut().for_each(|file| file.syntax = Some("editions".to_owned()));
    });
    let syntax = breaks(&published, &changed);
    assert!(syntax.iter().any(|text| text.starts_with("market.v1.Trade syntax: was `proto3`")), "{syntax:?}");
}

#[test]
fn a_renamed_package_breaks_everything_in_it() {
    let (published, changed) = market(|descriptors| {
        descriptors.file.iter_mut().for_each(|file| file.package = Some("market.v3".to_owned()));
    });
    assert_eq!(breaks(&published, &changed).len(), published.len());
}

/// Readers of version 1 read version 2, and the other way round.
#[test]
fn version_2_only_adds_to_the_trades_of_version_1() {
    let [(_, first), (_, second)] = TOPICS;
    let contract = |package, bytes| contract(package, &FileDescriptorSet::decode(bytes).unwrap());
    let is_of_trades = |name: &str| ["Trade", "Side"].iter().any(|of| name.starts_with(&format!("market.v1.{of}")));
    let trades = contract("market.v1", first).into_iter().filter(|(name, _)| is_of_trades(name));
    let renamed = |text: &str| text.replace("market.v1", "market.v2");
    let expected: Contract = trades.map(|(name, text)| (renamed(&name), renamed(&text))).collect();
    let current = contract("market.v2", second);
    assert!(expected.len() > 10, "the trades of version 1 are read");
    assert_eq!(breaks(&expected, &current), Vec::<String>::new());
    assert!(current.len() > expected.len());
}

#[test]
fn any_engine_can_read_the_topics() {
    for (package, descriptors) in TOPICS {
        let descriptors = FileDescriptorSet::decode(descriptors).unwrap();
        assert_eq!(unreadable(package, &descriptors), Vec::<String>::new(), "{package}");
    }
}

#[test]
fn what_an_engine_cannot_read_is_found() {
    let cases: [Case; 9] = [
        (|trade| trade.field[2].set_type(Type::Uint64), "Trade.trade_id: Uint64"),
        (|trade| trade.field[2].set_type(Type::Fixed64), "Trade.trade_id: Fixed64"),
        (|trade| trade.field[3].set_type(Type::Double), "Trade.price: Double"),
        (|trade| trade.field[3].set_type(Type::Float), "Trade.price: Float"),
        (|trade| trade.field[3].set_type(Type::Bytes), "Trade.price: Bytes"),
        (|trade| of_message(trade, ".google.protobuf.Struct"), "Trade.venue: Message .google.protobuf.Struct"),
        (|trade| trade.field[0].oneof_index = Some(0), "Trade.venue: oneof"),
        (|trade| of_message(trade, ".market.v1.Trade"), "Trade: contains itself"),
        (
            |trade| {
                let options = prost_types::MessageOptions { map_entry: Some(true), ..Default::default() };
                let name = Some("TagsEntry".to_owned());
                trade.nested_type.push(DescriptorProto { name, options: Some(options), ..Default::default() });
            },
            "Trade: map TagsEntry",
        ),
    ];
    for (change, expected) in cases {
        let mut descriptors = FileDescriptorSet::decode(TOPICS[0].1).unwrap();
        change_trade(&mut descriptors, change);
        let found = unreadable("market.v1", &descriptors);
        assert!(found.len() == 1 && found[0].starts_with(expected), "{expected}: {found:?}");
    }
}

fn of_message(message: &mut DescriptorProto, name: &str) {
    message.field[0].set_type(Type::Message);
    message.field[0].type_name = Some(name.to_owned());
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
