//! Checks that the files under `src/gen/` match `proto/`. `UPDATE=1` regenerates them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorSet, MethodDescriptorProto};
use protox::prost::Message as _;

/// Packages (file names without extension) and their sources.
const PACKAGES: &[(&str, &[&str])] = &[
    ("dogs.v1", &["dogs/v1/dog.proto", "dogs/v1/dog_service.proto"]),
    ("gifs.v1", &["gifs/v1/catalogue.proto", "gifs/v1/gif.proto", "gifs/v1/media.proto"]),
    (
        "market.v1",
        &[
            "market/v1/analytics_service.proto",
            "market/v1/candle.proto",
            "market/v1/candle_service.proto",
            "market/v1/trade.proto",
        ],
    ),
    ("market.v2", &["market/v2/trade.proto"]),
    ("notes.v1", &["notes/v1/note.proto", "notes/v1/note_service.proto"]),
];

type Files = BTreeMap<String, Vec<u8>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto")
}

fn generate() -> Files {
    let out = tempfile::tempdir().unwrap();
    let mut files = Files::new();
    for (package, sources) in PACKAGES {
        let mut compiler = protox::Compiler::new([root()]).unwrap();
        compiler.include_imports(true).open_files(sources.iter().copied()).unwrap();
        let descriptors = compiler.include_source_info(false).file_descriptor_set();
        files.insert(format!("{package}.binpb"), descriptors.encode_to_vec());

        let commented = compiler.include_source_info(true).file_descriptor_set();
        tonic_prost_build::configure().out_dir(out.path()).compile_fds(commented).unwrap();
        let name = format!("{package}.rs");
        let code = std::fs::read(out.path().join(&name)).unwrap();
        files.insert(name, code);
    }
    files
}

fn committed(folder: &Path) -> Files {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries.map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn generated_files_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/gen");
    let generated = generate();
    if std::env::var("UPDATE").is_ok_and(|value| value == "1") {
        for (name, content) in &generated {
            std::fs::write(folder.join(name), content).unwrap();
        }
    }
    let stored = committed(&folder);
    let names = |files: &Files| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&stored), names(&generated), "files under src/gen");
    for (name, content) in generated {
        assert!(stored[&name] == content, "src/gen/{name} is stale: run `UPDATE=1 cargo test -p kennel-proto`");
    }
}

/// Every source must be in [`PACKAGES`], so that a new file is not forgotten.
#[test]
fn every_source_is_listed() {
    fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                collect(&entry, found);
            } else if entry.extension().is_some_and(|extension| extension == "proto") {
                found.push(entry.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    let mut known: Vec<_> = PACKAGES.iter().flat_map(|(_, sources)| *sources).map(PathBuf::from).collect();
    known.sort();
    assert_eq!(found, known);
}

/// Clients repeat a failed call only if its method says that it has no side effects.
#[test]
fn reads_of_the_gif_pipeline_have_no_side_effects() {
    let files = FileDescriptorSet::decode(kennel_proto::gifs::v1::FILE_DESCRIPTOR_SET).unwrap();
    let services = files.file.into_iter().flat_map(|file| file.service);
    let methods = services.flat_map(|service| service.method);
    let (reads, others): (Vec<_>, Vec<_>) = methods.partition(|method| {
        let options = method.options.clone().unwrap_or_default();
        options.idempotency_level() == IdempotencyLevel::NoSideEffects
    });
    let names =
        |methods: Vec<MethodDescriptorProto>| methods.into_iter().filter_map(|method| method.name).collect::<Vec<_>>();
    assert_eq!(names(reads), ["GetGif", "ListGifs", "WatchGifs", "GetBlob", "OpenBlob"]);
    assert_eq!(names(others), ["Search", "Trending", "Random"], "they count towards quotas");
}
