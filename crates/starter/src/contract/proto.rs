//! Services in protobuf files, which are below `proto/` of a project.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use miette::Diagnostic as _;
use prost_types::{FileDescriptorProto, MethodDescriptorProto};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::names::{pascal, snake};
use crate::yaml::{Position, Problem};

/// The folder of protobuf files, which is the root of imports.
pub const FOLDER: &str = "proto/";

/// A file with services.
#[derive(Debug, Clone)]
pub struct Proto {
    /// The file, relative to the folder.
    pub file: String,
    /// Its package.
    pub package: String,
    /// Its services.
    pub services: Vec<Service>,
    /// The packages of the file and its imports.
    pub packages: BTreeSet<String>,
}

/// A service.
#[derive(Debug, Clone)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its methods.
    pub methods: Vec<Method>,
}

/// A method.
#[derive(Debug, Clone)]
pub struct Method {
    /// Its name.
    pub name: String,
    /// Its name in code.
    pub ident: String,
    /// The type of a request, as a path in the crate with the generated code.
    pub input: String,
    /// The type of a response.
    pub output: String,
    /// Whether the client sends a stream.
    pub is_client_streaming: bool,
    /// Whether the server sends a stream.
    pub is_server_streaming: bool,
}

/// The paths of the files that a file imports, below the folder of the project.
pub fn imports(text: &str) -> Vec<String> {
    let import = |line: &str| {
        let rest = line.trim().strip_prefix("import")?.trim();
        let rest = rest.strip_prefix("public").unwrap_or(rest).trim();
        let name = rest.strip_prefix('"')?.split('"').next()?;
        (!name.starts_with("google/protobuf/")).then(|| format!("{FOLDER}{name}"))
    };
    text.lines().filter_map(import).collect()
}

/// Compiles a file with its imports; all paths start with [`FOLDER`].
pub fn compile(path: &str, documents: &BTreeMap<String, String>) -> Result<Proto, Vec<(String, Problem)>> {
    let file = path.strip_prefix(FOLDER).unwrap_or(path);
    let mut resolver = ChainFileResolver::new();
    resolver.add(Documents(documents.clone()));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    if let Err(error) = compiler.open_file(file) {
        return Err(vec![problem(&error, path, documents)]);
    }
    let set = compiler.file_descriptor_set();
    let problems = set
        .file
        .iter()
        .filter(|file| file.syntax() != "proto3")
        .map(|file| (format!("{FOLDER}{}", file.name()), at_start("only `syntax = \"proto3\"` is supported")));
    let mut problems: Vec<_> = problems.collect();
    let Some(entry) = set.file.iter().find(|known| known.name() == file) else { return Err(problems) };
    let mut packages: BTreeSet<_> = set.file.iter().map(|file| file.package().to_owned()).collect();
    packages.remove("google.protobuf");
    if packages.contains("") {
        problems.push((path.to_owned(), at_start("the file and its imports need a `package`")));
    }
    if entry.service.is_empty() {
        problems.push((path.to_owned(), at_start("the file has no service")));
    }
    let mut services = Vec::new();
    for service in &entry.service {
        let methods = service.method.iter().map(|found| {
            method(found, &set.file).map_err(|message| {
                let text = documents.get(path).map(String::as_str).unwrap_or_default();
                problems.push((path.to_owned(), Problem { position: find(text, found.name()), message }));
            })
        });
        let methods = methods.filter_map(Result::ok).collect();
        services.push(Service { name: service.name().to_owned(), methods });
    }
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Proto { file: file.to_owned(), package: entry.package().to_owned(), services, packages })
}

/// Files in memory.
struct Documents(BTreeMap<String, String>);

impl FileResolver for Documents {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(&format!("{FOLDER}{name}")) {
            Some(text) => File::from_source(name, text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn problem(error: &protox::Error, path: &str, documents: &BTreeMap<String, String>) -> (String, Problem) {
    let file = error.file().map_or_else(|| path.to_owned(), |file| format!("{FOLDER}{file}"));
    let text = documents.get(&file).map(String::as_str).unwrap_or_default();
    let offset = error.labels().and_then(|mut labels| labels.next()).map_or(0, |label| label.offset());
    (file, Problem { position: position(text, offset), message: error.to_string() })
}

fn at_start(message: &str) -> Problem {
    Problem { position: Position { line: 1, column: 1 }, message: message.to_owned() }
}

/// The position of a byte.
fn position(text: &str, offset: usize) -> Position {
    let before = text.get(..offset).unwrap_or_default();
    let line = before.rsplit('\n').next().unwrap_or_default();
    Position { line: before.matches('\n').count() + 1, column: line.chars().count() + 1 }
}

/// The position of a method.
fn find(text: &str, method: &str) -> Position {
    position(text, text.find(&format!("rpc {method}")).unwrap_or_default())
}

fn method(found: &MethodDescriptorProto, files: &[FileDescriptorProto]) -> Result<Method, String> {
    let ident = snake(found.name()).ok_or_else(|| format!("`{}` is no name in code", found.name()))?;
    Ok(Method {
        name: found.name().to_owned(),
        ident,
        input: rust_path(found.input_type(), files)?,
        output: rust_path(found.output_type(), files)?,
        is_client_streaming: found.client_streaming(),
        is_server_streaming: found.server_streaming(),
    })
}

/// The path of a message in code.
fn rust_path(name: &str, files: &[FileDescriptorProto]) -> Result<String, String> {
    let name = name.trim_start_matches('.');
    if let Some(known) = name.strip_prefix("google.protobuf.") {
        return match known {
            "Empty" => Ok("()".to_owned()),
            _ => Err(format!("the message `{name}` is not supported here; put it into a message of your own")),
        };
    }
    let package = files
        .iter()
        .map(FileDescriptorProto::package)
        .filter(|package| name.strip_prefix(*package).is_some_and(|rest| rest.starts_with('.')));
    let package = package.max_by_key(|package| package.len()).unwrap_or_default();
    let rest: Vec<_> = name[package.len()..].trim_start_matches('.').split('.').collect();
    let Some((message, outer)) = rest.split_last() else { return Err(format!("`{name}` is no message")) };
    if pascal(message).as_deref() != Some(*message) {
        return Err(format!(
            "the name of the message `{message}` must be in the style `{}`",
            pascal(message).unwrap_or_default()
        ));
    }
    let modules = package.split('.').chain(outer.iter().copied()).map(|part| snake(part).unwrap_or_default());
    Ok(modules.chain(iter::once((*message).to_owned())).collect::<Vec<_>>().join("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICE: &str = "\
syntax = \"proto3\";
package billing.v1;
import \"google/protobuf/empty.proto\";
import \"billing/v1/charge.proto\";
service BillingService {
  rpc Charge(Charge.Request) returns (Charge);
  rpc WatchCharges(google.protobuf.Empty) returns (stream Charge);
}
";
    const CHARGE: &str = "syntax = \"proto3\";\npackage billing.v1;\nmessage Charge { message Request { string id = 1; } string id = 1; }\n";

    fn read(service: &str) -> Result<Proto, Vec<String>> {
        let documents = [("proto/billing/v1/service.proto", service), ("proto/billing/v1/charge.proto", CHARGE)];
        let documents = documents.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        let problems = |(file, problem): (String, Problem)| format!("{file}:{problem}");
        compile("proto/billing/v1/service.proto", &documents).map_err(|found| found.into_iter().map(problems).collect())
    }

    #[test]
    fn services_and_their_messages_are_read() {
        let proto = read(SERVICE).unwrap();
        let [charge, watch] = &proto.services[0].methods[..] else { panic!("{proto:?}") };
        assert_eq!(
            (charge.input.as_str(), charge.output.as_str()),
            ("billing::v1::charge::Request", "billing::v1::Charge")
        );
        assert!(!charge.is_server_streaming && watch.is_server_streaming);
        assert_eq!((watch.ident.as_str(), watch.input.as_str()), ("watch_charges", "()"));
        assert_eq!(proto.packages.iter().collect::<Vec<_>>(), ["billing.v1"]);
        assert_eq!(imports(SERVICE), ["proto/billing/v1/charge.proto"]);
    }

    #[test]
    fn problems_have_positions() {
        for (from, to, expected) in [
            ("(Charge);", "(Chrge);", "proto/billing/v1/service.proto:6:39: "),
            ("package billing.v1;\n", "package billing.v1\n", "proto/billing/v1/service.proto:3:1: "),
            ("charge.proto", "chrge.proto", "proto/billing/v1/service.proto:4:1: "),
            ("proto3", "proto2", "proto/billing/v1/service.proto:1:1: only `syntax = \"proto3\"` is supported"),
        ] {
            let found = read(&SERVICE.replacen(from, to, 1)).unwrap_err();
            assert!(found[0].starts_with(expected), "{to}: {found:?}");
        }
        let text = SERVICE.split("service").next().unwrap();
        assert_eq!(read(text).unwrap_err(), ["proto/billing/v1/service.proto:1:1: the file has no service"]);
    }
}
