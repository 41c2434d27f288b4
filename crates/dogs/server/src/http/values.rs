//! The formats of values, each described once and referenced by name. The domain parses and validates them.

#![expect(dead_code, reason = "only describes")]

use utoipa::ToSchema;

/// A breed: one to four words of letters and digits joined by `-`, `_`, `/` or a space. Responses use lower case and `-`.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    max_length = 64,
    pattern = "^[A-Za-z0-9]+([-_ /][A-Za-z0-9]+){0,3}$",
    example = "husky"
)]
pub(super) struct BreedName(String);

/// A name: printable characters, not only spaces.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    min_length = 1,
    max_length = 100,
    pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$",
    example = "Balto"
)]
pub(super) struct DogName(String);

/// An `http` or `https` link of visible ASCII characters, without a user or a password.
///
/// Has no `format`: browsers accept more than RFC 3986 defines as a URI.
#[derive(ToSchema)]
#[schema(
    value_type = String,
    max_length = 2048,
    pattern = r#"^[Hh][Tt][Tt][Pp][Ss]?://[!"$-.0->A-\[\]-~]+([/?#\\][!-~]*)?$"#,
    example = "https://example.org/balto.jpg"
)]
pub(super) struct Link(String);

/// An image file, as it is stored.
#[derive(ToSchema)]
#[schema(as = Picture, value_type = String, format = Binary)]
pub(super) struct ImageFile(Vec<u8>);
