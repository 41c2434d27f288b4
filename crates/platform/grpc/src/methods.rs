//! The methods of a server, read from its descriptors: bounds the values of metric labels, and says which calls stream.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use kennel_telemetry::metrics::NO_METHOD;
use prost::Message as _;
use prost_types::method_options::IdempotencyLevel;
use prost_types::{FileDescriptorProto, FileDescriptorSet, MethodDescriptorProto, MethodOptions};

/// A method of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Method {
    /// Full name of the service, such as `dogs.v1.DogService`.
    pub service: String,
    /// Name of the method, such as `GetDog`.
    pub name: String,
    /// Whether the caller sends many messages.
    pub client_streaming: bool,
    /// Whether the server sends many messages.
    pub server_streaming: bool,
    /// Its `idempotency_level`.
    pub idempotency: IdempotencyLevel,
}

impl Method {
    /// Whether a call may be sent twice: it has no effect, or the same effect.
    pub const fn is_idempotent(&self) -> bool {
        !matches!(self.idempotency, IdempotencyLevel::IdempotencyUnknown)
    }

    /// Whether a call only reads: it has no effect.
    pub const fn reads(&self) -> bool {
        matches!(self.idempotency, IdempotencyLevel::NoSideEffects)
    }

    /// Type of the method, with the values that metrics of gRPC servers commonly use.
    pub(crate) const fn kind(&self) -> &'static str {
        match (self.client_streaming, self.server_streaming) {
            (false, false) => "unary",
            (true, false) => "client_stream",
            (false, true) => "server_stream",
            (true, true) => "bidi_stream",
        }
    }

    /// Whether the path of the call is in no descriptor.
    pub(crate) fn is_unknown(&self) -> bool {
        self.service == NO_METHOD
    }

    /// Whether the method is of the health service, whose calls are never shed and create no spans.
    pub(crate) fn is_health(&self) -> bool {
        self.service == crate::health::SERVICE
    }
}

/// All methods by path. Every other path maps to one method called `unknown`.
#[derive(Debug)]
pub struct Methods {
    by_path: HashMap<String, Arc<Method>>,
    unknown: Arc<Method>,
}

impl Methods {
    /// Decodes `FileDescriptorSet`s.
    pub fn read(descriptors: &[&[u8]]) -> Result<Self, prost::DecodeError> {
        let mut by_path = HashMap::new();
        for encoded in descriptors {
            for file in FileDescriptorSet::decode(*encoded)?.file {
                by_path.extend(methods_of(&file));
            }
        }
        let no_method = MethodDescriptorProto { name: Some(NO_METHOD.to_owned()), ..Default::default() };
        let unknown = Arc::new(method(NO_METHOD, &no_method));
        Ok(Self { by_path, unknown })
    }

    /// The method at a path such as `/dogs.v1.DogService/GetDog`.
    pub fn find(&self, path: &str) -> Arc<Method> {
        Arc::clone(self.by_path.get(path).unwrap_or(&self.unknown))
    }

    /// The paths of all methods, without the leading slash.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(|path| path.trim_start_matches('/'))
    }

    /// Full names of the services.
    pub fn services(&self) -> BTreeSet<String> {
        self.by_path.values().map(|method| method.service.clone()).collect()
    }
}

fn methods_of(file: &FileDescriptorProto) -> impl Iterator<Item = (String, Arc<Method>)> {
    file.service.iter().flat_map(|service| {
        let name = match file.package() {
            "" => service.name().to_owned(),
            package => format!("{package}.{}", service.name()),
        };
        service.method.iter().map(move |inner| (format!("/{name}/{}", inner.name()), Arc::new(method(&name, inner))))
    })
}

fn method(service: &str, descriptor: &MethodDescriptorProto) -> Method {
    let idempotency = descriptor.options.as_ref().map(MethodOptions::idempotency_level);
    Method {
        service: service.to_owned(),
        name: descriptor.name().to_owned(),
        client_streaming: descriptor.client_streaming(),
        server_streaming: descriptor.server_streaming(),
        idempotency: idempotency.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_only_the_methods_of_its_descriptors() {
        let methods = Methods::read(&[tonic_health::pb::FILE_DESCRIPTOR_SET]).unwrap();
        let watch = methods.find("/grpc.health.v1.Health/Watch");
        assert_eq!((watch.service.as_str(), watch.name.as_str()), ("grpc.health.v1.Health", "Watch"));
        assert!(watch.server_streaming && !watch.client_streaming && watch.is_health());
        assert_eq!((watch.kind(), methods.find("/grpc.health.v1.Health/Check").kind()), ("server_stream", "unary"));
        for path in ["", "/", "/grpc.health.v1.Health/Nope", "/Health/Watch", "/grpc.health.v1.Health/Watch/"] {
            assert_eq!(methods.find(path).service, NO_METHOD, "{path}");
        }
        assert_eq!(methods.services(), BTreeSet::from(["grpc.health.v1.Health".to_owned()]));
    }

    #[test]
    fn rejects_invalid_descriptors() {
        assert!(Methods::read(&[b"nonsense"]).is_err());
    }
}
