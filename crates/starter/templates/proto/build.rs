//! Compiles the files in `proto/` of the project; no other program is needed.

use std::path::{Path, PathBuf};
use std::{env, error, fs};

use protox::prost::Message as _;

fn main() -> Result<(), Box<dyn error::Error>> {
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let mut compiler = protox::Compiler::new([root])?;
    compiler.include_imports(true);
    compiler.open_files([«% if grpc %»"«ident»/v1/note.proto", "«ident»/v1/note_service.proto", «% endif %»«% for file in protos %»"«file»", «% endfor %»])?;

    let descriptors = compiler.include_source_info(false).file_descriptor_set();
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("descriptors.binpb"), descriptors.encode_to_vec())?;
    let commented = compiler.include_source_info(true).file_descriptor_set();
    tonic_prost_build::configure().compile_fds(commented)?;
    Ok(())
}
