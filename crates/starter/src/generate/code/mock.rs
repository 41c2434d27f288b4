//! A mock of an API's server: the real routes on a free port, with answers that a test prepares.

use super::operations::signature;
use super::{client::qualified, request_type, routes, type_name};
use crate::config::Rest;
use crate::contract::names::pascal;
use crate::contract::{Api, Operation, Scheme};

/// The module of a mock.
pub(crate) fn mock(api: &Api, rest: &Rest, module: &str, contracts: &str) -> String {
    let name = format!("{}Mock", pascal(&rest.name).unwrap_or_default());
    let path = rest.path.as_deref().unwrap_or_default();
    // The mock checks the credential of `auth_params`, whatever the document says.
    let mut api = api.clone();
    api.schemes.clear();
    if let Some(auth) = &rest.auth_params {
        let header = (auth.kind == "apikey").then(|| auth.name.to_ascii_lowercase());
        api.schemes.push(Scheme { name: "credential".to_owned(), ident: "credential".to_owned(), header });
    }
    let scheme = (!api.schemes.is_empty()).then_some(0);
    api.operations.iter_mut().for_each(|operation| operation.scheme = scheme);
    let code = routes::routes(&api, module, false);
    let code = code.replace(&format!("Arc<dyn {module}::Api>"), &format!("Arc<{name}>"));
    let fields = api.operations.iter().map(|operation| field(operation, module));
    let has_credential = !api.schemes.is_empty();
    let code = code
        .replace("api.authenticate_credential(", "mock::authenticate(&api.credential, ")
        .replace("?).await?);\nlet request", "?)?);\nlet request")
        .replace("?).await?);\nOk::<", "?)?);\nOk::<");
    let methods: String = api.operations.iter().map(|operation| method(operation, module)).collect();
    let answers = api.operations.iter();
    let answers = answers.map(|operation| format!("{}: Answers::new({:?}),\n", operation.ident, operation.id));
    let imports = routes::imports(&code, false);
    let (axum, others) = imports.split_once("\n\n").unwrap_or_default();
    let (member, parameter, set, import) = if has_credential {
        (
            "credential: String,\n",
            "credential: &str",
            "credential: credential.to_owned(),\n",
            "{self, Answers, MockServer}",
        )
    } else {
        ("", "", "", "{Answers, MockServer}")
    };
    format!(
        "//! A mock of the server that `{path}` describes, for tests.\n\nuse std::io;\n{axum}\n\nuse async_trait::async_trait;\n{others}\
         use kennel_client::mock::{import};\nuse kennel_core::Failure;\nuse {contracts}::{module}::{{self, Api as _}};\n\n\
         /// The answers of the server. Each operation has a queue of its own.\n\
         #[derive(Debug)]\npub struct {name} {{\n{member}{}}}\n\n\
         impl {name} {{\n/// Starts the server on a free port of this machine.\n\
         pub async fn start({parameter}) -> io::Result<(Arc<Self>, MockServer)> {{\n\
         let mock = Arc::new(Self {{\n{set}{}}});\n\
         let server = MockServer::start(routes().with_state(Arc::clone(&mock))).await?;\nOk((mock, server))\n}}\n}}\n\n\
         #[async_trait]\nimpl {module}::Api for {name} {{\n{}\n}}\n\n{code}",
        fields.collect::<String>(),
        answers.collect::<String>(),
        methods.trim_end(),
    )
}

fn field(operation: &Operation, module: &str) -> String {
    let input = request_type(operation).map_or_else(|| "()".to_owned(), |name| format!("{module}::{name}"));
    let output = type_name(operation, "Response");
    format!(
        "/// The answers of `{}`, and its requests.\npub {}: Answers<{input}, {module}::{output}>,\n",
        operation.id, operation.ident
    )
}

fn method(operation: &Operation, module: &str) -> String {
    let argument = if request_type(operation).is_some() { "request" } else { "()" };
    let signature = qualified(&signature(operation, "request"), operation, module);
    format!("{signature} {{\nself.{}.next({argument})\n}}\n\n", operation.ident)
}
