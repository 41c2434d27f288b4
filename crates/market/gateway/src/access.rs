//! Who calls, and whether a route is open to them.

use http::{HeaderMap, HeaderValue};
use kennel_core::{ErrorKind, Principal};
use kennel_http::HttpError;
use kennel_net::{AccessCheck, Authenticated, Operation};
use kennel_service::AccessRules;

use crate::refusal::Refusal;
use crate::routes::Access;

/// What stands for all routes of the file. It is no route of the program, whose rules the platform compares with its routes.
const ANY_ROUTE: &str = "/gateway.Routes/Any";

/// Every caller with valid credentials passes the platform's check; scopes are those of the routes.
pub(crate) fn rules() -> AccessRules {
    AccessRules::new().authenticated(["gateway.Routes/Any"])
}

/// Who sent a request with these headers.
pub(crate) async fn authenticate(check: &dyn AccessCheck, headers: &HeaderMap) -> Result<Authenticated, Refusal> {
    match check.check(Operation::Grpc { path: ANY_ROUTE, reads: false }, headers).await {
        Ok(Some(caller)) => Ok(caller),
        Ok(None) => Err(ErrorKind::Unauthenticated.into()),
        Err(denied) => Err(Refusal { reason: denied.code(), ..HttpError::from(denied).into() }),
    }
}

impl Access {
    /// Fails if the caller lacks one of the scopes.
    #[expect(clippy::result_large_err, reason = "a refusal is rare, and becomes the response")]
    pub(crate) fn permit(&self, principal: &Principal) -> Result<(), Refusal> {
        let missing = self.missing(principal);
        if missing.is_empty() {
            return Ok(());
        }
        let missing = missing.join(" ");
        let error = HttpError::new(ErrorKind::PermissionDenied).with_detail(format!("the scope {missing} is required"));
        let challenge = HeaderValue::try_from(format!("Bearer error=\"insufficient_scope\", scope=\"{missing}\""));
        Err(challenge
            .map_or_else(|_| HttpError::new(ErrorKind::PermissionDenied), |it| error.with_challenge(it))
            .into())
    }
}
