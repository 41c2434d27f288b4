//! The HTTP API.

use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::IntoResponse;
use kennel_http::openapi::problems::{Failures, InvalidBody, RateLimited, Unauthenticated};
use kennel_http::{Json, Reply};
use kennel_service::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::{IssueRequest, KeySetResponse, LoginRequest, RefreshRequest, TokenResponse};
use crate::service::Auth;
use crate::sessions::{SessionError, Tokens};
use crate::signing::PUBLISHED_MAX_AGE;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

pub(crate) fn routes() -> OpenApiRouter<Auth> {
    let description = "Sessions of users, tokens of programs, and the keys that tokens are verified with.";
    OpenApiRouter::with_openapi(kennel_http::openapi::document("Auth", description))
        .routes(routes!(log_in))
        .routes(routes!(refresh))
        .routes(routes!(log_out))
        .routes(routes!(issue))
        .routes(routes!(keys))
}

/// Log in
///
/// A wrong password and an unknown name have the same answer.
#[utoipa::path(post, path = "/api/v1/sessions", operation_id = "logIn",
    responses((status = 201, body = TokenResponse), (status = 401, response = Unauthenticated),
        (status = 429, response = RateLimited), InvalidBody, Failures))]
async fn log_in(
    api: State<Auth>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    login: Json<LoginRequest>,
) -> Reply<impl IntoResponse> {
    let address = client(peer.0.ip(), &headers, api.trusted_proxies);
    let tokens = api.sessions.log_in(&login.0.name, login.0.password, address).await?;
    Ok((StatusCode::CREATED, answer(tokens)))
}

/// Replace a refresh token by new tokens
///
/// The token is not valid afterwards. If it is used again, the session ends, except in the first seconds, in which the answer is
/// the same successor.
#[utoipa::path(post, path = "/api/v1/sessions/refresh", operation_id = "refreshSession",
    responses((status = 200, body = TokenResponse), (status = 401, response = Unauthenticated), InvalidBody, Failures))]
async fn refresh(api: State<Auth>, request: Json<RefreshRequest>) -> Reply<impl IntoResponse> {
    Ok(answer(api.sessions.refresh(&request.0.refresh_token).await?))
}

/// Log out
///
/// Ends the session. Access tokens stay valid until they expire. A token of no session has the same answer.
#[utoipa::path(post, path = "/api/v1/sessions/revoke", operation_id = "logOut",
    responses((status = 204), InvalidBody, Failures))]
async fn log_out(api: State<Auth>, request: Json<RefreshRequest>) -> Reply<impl IntoResponse> {
    api.sessions.log_out(&request.0.refresh_token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get an access token for a program
#[utoipa::path(post, path = "/api/v1/tokens", operation_id = "issueToken",
    responses((status = 200, body = TokenResponse), (status = 401, response = Unauthenticated),
        (status = 429, response = RateLimited), InvalidBody, Failures))]
async fn issue(
    api: State<Auth>,
    peer: ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    request: Json<IssueRequest>,
) -> Reply<impl IntoResponse> {
    let address = client(peer.0.ip(), &headers, api.trusted_proxies);
    Ok(answer(api.sessions.issue(&request.0.name, &request.0.secret, address).await?))
}

/// Get the keys of access tokens
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "getKeys",
    responses((status = 200, body = KeySetResponse), Failures))]
async fn keys(api: State<Auth>) -> Reply<impl IntoResponse> {
    let published = api.sessions.signer().published().await.map_err(SessionError::from)?;
    Ok((
        [(CACHE_CONTROL, format!("public, max-age={PUBLISHED_MAX_AGE}"))],
        axum::Json(KeySetResponse { keys: published.keys }),
    ))
}

/// Tokens must not be stored by anything on the way.
fn answer(tokens: Tokens) -> impl IntoResponse {
    ([(CACHE_CONTROL, "no-store")], axum::Json(TokenResponse::from(tokens)))
}

/// The address of the client: that of the peer, or what the outermost of the trusted proxies has seen. Addresses further left in
/// the header are what the client claims.
fn client(peer: IpAddr, headers: &HeaderMap, trusted_proxies: u32) -> IpAddr {
    let lines = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok());
    let forwarded: Vec<_> = lines.flat_map(|line| line.split(',')).map(str::trim).collect();
    let Some(position) = (trusted_proxies as usize).checked_sub(1) else { return peer };
    forwarded.iter().rev().nth(position).and_then(|address| address.parse().ok()).unwrap_or(peer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_say_where_a_request_is_from() {
        let address = |lines: &[&str], trusted| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(FORWARDED_FOR, line.parse().unwrap());
            }
            client("10.0.0.9".parse().unwrap(), &headers, trusted).to_string()
        };
        let lines = ["1.1.1.1, 2.2.2.2", "3.3.3.3"];
        for (trusted, expected) in [(0, "10.0.0.9"), (1, "3.3.3.3"), (2, "2.2.2.2"), (3, "1.1.1.1"), (4, "10.0.0.9")] {
            assert_eq!(address(&lines, trusted), expected);
        }
        assert_eq!(address(&["unknown"], 1), "10.0.0.9");
        assert_eq!(address(&[], 1), "10.0.0.9");
    }
}
