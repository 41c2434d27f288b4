//! Server reflection, `v1` and the `v1alpha` that older tools still use.

use tonic::service::Routes;
use tonic_reflection::server::{Builder, Error};

use crate::compression::COMPRESSION;

/// Descriptors of the reflection services themselves.
pub(crate) const DESCRIPTORS: [&[u8]; 2] =
    [tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET, tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET];

/// Adds both versions, which serve the files of `descriptors`.
pub(crate) fn add(routes: Routes, descriptors: &[&[u8]]) -> Result<Routes, Error> {
    let builder = || {
        let empty = Builder::configure().include_reflection_service(false);
        descriptors.iter().fold(empty, |builder, set| builder.register_encoded_file_descriptor_set(set))
    };
    let v1 = builder().build_v1()?.accept_compressed(COMPRESSION).send_compressed(COMPRESSION);
    let v1alpha = builder().build_v1alpha()?.accept_compressed(COMPRESSION).send_compressed(COMPRESSION);
    Ok(routes.add_service(v1).add_service(v1alpha))
}
