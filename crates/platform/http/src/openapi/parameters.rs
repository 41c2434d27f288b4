//! OpenAPI parameters for the input that this crate reads: precondition headers, and query parameters without a value.

use utoipa::IntoParams;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{OpenApi, RefOr, Required};

use crate::etag::{IfMatch, IfNoneMatch, MAX_TAGS};

/// Sets `allowEmptyValue` on each optional query parameter, because [`crate::Query`] treats an empty value as absent.
pub fn allow_empty_queries(api: &mut OpenApi) {
    for parameter in api.paths.paths.values_mut().flat_map(parameters) {
        if parameter.parameter_in == ParameterIn::Query && parameter.required != Required::True {
            let allowed = Extensions::from_iter([("allowEmptyValue", true)]);
            parameter.extensions.get_or_insert_default().merge(allowed);
        }
    }
}

fn parameters(path: &mut PathItem) -> impl Iterator<Item = &mut Parameter> {
    let PathItem { get, put, post, delete, options, head, patch, trace, parameters, .. } = path;
    let operations = [get, put, post, delete, options, head, patch, trace].into_iter().flatten();
    let own = operations.filter_map(|operation| operation.parameters.as_mut());
    own.chain(parameters.as_mut()).flatten().filter_map(|parameter| match parameter {
        RefOr::T(parameter) => Some(parameter),
        RefOr::Ref(_) => None,
    })
}

impl IntoParams for IfMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let description = "Proceed only if the resource has one of these entity tags, or exists in case of `*`. A tag \
            that a proxy has turned into a weak one (`W/\"1\"`) counts as the strong tag.";
        vec![entity_tags("If-Match", description)]
    }
}

impl IntoParams for IfNoneMatch {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![entity_tags("If-None-Match", "Entity tags that the caller has cached: 304 if one of them is current.")]
    }
}

/// A header that contains `*` or a list of entity tags.
fn entity_tags(name: &str, description: &str) -> Parameter {
    let tag = r#"(W/)?"[!#-~]*""#;
    let pattern = format!(r"^(\*|{tag}([ \t]*,[ \t]*{tag}){{0,{}}})$", MAX_TAGS - 1);
    let schema = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build();
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(schema))
        .example(Some("\"1\"".into()))
        .build()
}
