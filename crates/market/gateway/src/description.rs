//! The OpenAPI description: the gateway has no operations of its own, so it lists where others are.

use std::sync::Arc;

use kennel_service::OpenApiRouter;

use crate::routes::{Access, MARKET, Route, Routes};
use crate::service::ApiGateway;

/// The description, with the routes of the default file.
pub(crate) fn router() -> OpenApiRouter<ApiGateway> {
    let description = format!(
        "What is in front of the services of a system. It has no operations of its own: each service describes those that it has. \
        These are the paths with the routes file of the program; `GATEWAY_ROUTES` names another one.\n\n{}",
        table(&Routes::parse(MARKET, &[]).unwrap_or_default())
    );
    OpenApiRouter::with_openapi(kennel_http::openapi::document("Gateway", &description))
}

/// The routes as a Markdown table.
fn table(routes: &Routes) -> String {
    let row = |route: &Arc<Route>| {
        let methods: Vec<_> = route.methods.iter().map(http::Method::as_str).collect();
        let methods = if methods.is_empty() { "all".to_owned() } else { methods.join(", ") };
        let callers = match &route.access {
            Access::Public => "everyone".to_owned(),
            Access::Scopes(scopes) if scopes.is_empty() => "with a token".to_owned(),
            Access::Scopes(scopes) => scopes.join(" "),
        };
        let (path, upstream) = (&route.pattern, &routes.upstreams[route.upstream].name);
        format!("| `{path}` | {methods} | {upstream} | {callers} |")
    };
    let head = ["| path | methods | upstream | callers |", "|---|---|---|---|"].map(str::to_owned);
    head.into_iter().chain(routes.routes.iter().map(row)).collect::<Vec<_>>().join("\n")
}
