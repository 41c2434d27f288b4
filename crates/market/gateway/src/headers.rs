//! What headers pass the gateway: RFC 9110, section 7.6.1, and those that only the gateway may set.

use std::net::{IpAddr, SocketAddr};

use http::header::{
    CONNECTION, COOKIE, EXPECT, FORWARDED, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING,
    UPGRADE, VIA,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use kennel_core::Principal;

/// Header fields that are about one connection, in addition to those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 9] = [
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    EXPECT,
];
/// Who calls, as the gateway says. Clients cannot set them.
pub(crate) const SUBJECT: HeaderName = HeaderName::from_static("x-auth-subject");
pub(crate) const SCOPES: HeaderName = HeaderName::from_static("x-auth-scopes");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Starts of names that say who calls, from where, or what was meant instead of the request line. They are in the one
/// spelling that is left after names with other characters than letters, digits and hyphens are removed.
const OF_THE_GATEWAY: [&str; 20] = [
    "x-auth",
    "x-authenticated",
    "x-client",
    "x-cluster-client-ip",
    "x-envoy-",
    "x-forwarded",
    "x-http-method",
    "x-internal",
    "x-jwt",
    "x-kennel",
    "x-method-override",
    "x-original-",
    "x-principal",
    "x-real-ip",
    "x-remote-",
    "x-rewrite-",
    "x-role",
    "x-scope",
    "x-ssl-",
    "x-user",
];
/// The same, for names without `x-`. A trace starts at the gateway, and baggage of strangers is not forwarded.
const OF_THE_GATEWAY_EXACT: [&str; 9] = [
    "forwarded",
    "remote-user",
    "remote-addr",
    "ssl-client-cert",
    "true-client-ip",
    "cf-connecting-ip",
    "baggage",
    "traceparent",
    "tracestate",
];

/// Whether only the gateway may set this field. Servers that pass headers in variables cannot distinguish `_` and `.` from
/// `-`, so that names with them are removed too, as nginx does.
fn is_of_the_gateway(name: &str) -> bool {
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-') {
        return true;
    }
    if name.starts_with("x-") {
        return OF_THE_GATEWAY.iter().any(|start| name.starts_with(start));
    }
    OF_THE_GATEWAY_EXACT.contains(&name)
}

/// What is forwarded about the client.
pub(crate) struct Client<'a> {
    /// The address of the connection.
    pub(crate) peer: SocketAddr,
    /// How many proxies in front of the gateway are trusted: so many addresses they have appended.
    pub(crate) trusted_hops: usize,
    pub(crate) is_https: bool,
    pub(crate) principal: Option<&'a Principal>,
}

impl Client<'_> {
    /// The address that limits count: that of the connection, or the one that the outermost trusted proxy has seen.
    pub(crate) fn ip(&self, headers: &HeaderMap) -> IpAddr {
        let known = if self.trusted_hops == 0 { None } else { self.trusted_addresses(headers).first().copied() };
        known.unwrap_or_else(|| self.peer.ip()).to_canonical()
    }

    /// The addresses that trusted proxies have appended: the right-most ones, without those of anyone before them.
    fn trusted_addresses(&self, headers: &HeaderMap) -> Vec<IpAddr> {
        let values = headers.get_all(FORWARDED_FOR).iter().filter_map(|value| value.to_str().ok());
        let all: Vec<_> = values.flat_map(|value| value.split(',')).map(str::trim).collect();
        let trusted = &all[all.len().saturating_sub(self.trusted_hops)..];
        // An address that cannot be read is no reason to trust the one before it.
        let readable = trusted.iter().rev().map_while(|text| text.parse().ok());
        let mut readable: Vec<IpAddr> = readable.collect();
        readable.reverse();
        readable
    }

    /// Changes the headers of a request from the client's into the upstream's. `upgrade` is the protocol that the client
    /// may switch to.
    pub(crate) fn forward(&self, headers: &mut HeaderMap, upgrade: Option<HeaderValue>) {
        let forwarded_for = self.forwarded_for(headers);
        let accepts_trailers = headers.get_all(TE).iter().any(has_trailers);
        let host = headers.remove(HOST);
        let proto = HeaderValue::from_static(if self.is_https { "https" } else { "http" });
        remove_hop_by_hop(headers);
        remove_those_of_the_gateway(headers);
        if accepts_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(protocol) = upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol);
        }
        headers.insert(FORWARDED_FOR, forwarded_for);
        headers.insert(FORWARDED_PROTO, proto);
        if let Some(host) = host {
            headers.insert(FORWARDED_HOST, host);
        }
        join_cookies(headers);
        if let Some(principal) = self.principal {
            let scopes: Vec<_> = principal.scopes().collect();
            for (name, value) in [(SUBJECT, principal.subject()), (SCOPES, &scopes.join(" "))] {
                if let Ok(value) = HeaderValue::from_bytes(value.as_bytes()) {
                    headers.insert(name, value);
                }
            }
        }
    }

    fn forwarded_for(&self, headers: &HeaderMap) -> HeaderValue {
        let peer = self.peer.ip().to_canonical().to_string();
        let mut addresses = if self.trusted_hops == 0 { Vec::new() } else { self.trusted_addresses(headers) };
        let text = if addresses.is_empty() {
            peer
        } else {
            let mut text = String::new();
            for address in addresses.drain(..) {
                text.push_str(&address.to_string());
                text.push_str(", ");
            }
            text + &peer
        };
        HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    }
}

/// HTTP/2 may send each cookie as a field of its own; HTTP/1.1 has one field (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let cookies: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if cookies.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&cookies.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

fn has_trailers(value: &HeaderValue) -> bool {
    value.to_str().is_ok_and(|value| value.split(',').any(|one| one.trim().eq_ignore_ascii_case("trailers")))
}

/// Removes what is about one connection, and every field that `Connection` names.
pub(crate) fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(CONNECTION) {
        let mut named: Vec<HeaderName> = Vec::new();
        for value in headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok()) {
            named.extend(value.split(',').filter_map(|name| name.trim().parse().ok()));
        }
        headers.remove(CONNECTION);
        for name in named {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

fn remove_those_of_the_gateway(headers: &mut HeaderMap) {
    let found: Vec<HeaderName> = headers.keys().filter(|name| is_of_the_gateway(name.as_str())).cloned().collect();
    for name in found {
        headers.remove(name);
    }
    debug_assert!(!headers.contains_key(FORWARDED), "it is one of them");
}

/// Adds the gateway to the proxies of a message (RFC 9110, section 7.6.3).
pub(crate) fn add_via(headers: &mut HeaderMap, via: HeaderValue) {
    headers.append(VIA, via);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_named_in_any_script() {
        let principal = Principal::new("jos\u{e9}", ["market:read"]);
        let peer = ([127, 0, 0, 1], 1).into();
        let client = Client { peer, trusted_hops: 0, is_https: false, principal: Some(&principal) };
        let mut headers = HeaderMap::new();
        client.forward(&mut headers, None);
        assert_eq!(headers[SUBJECT].as_bytes(), "jos\u{e9}".as_bytes());
        assert_eq!(headers[SCOPES], "market:read");
    }
}
