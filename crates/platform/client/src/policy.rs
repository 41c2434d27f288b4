//! SSRF policy: a client may connect by HTTP and HTTPS only, and not to private addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use url::{Host, Url};

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The scheme is neither `http` nor `https`.
    #[error("scheme is neither http nor https")]
    Scheme,
    /// The URL has no host.
    #[error("url has no host")]
    Host,
    /// The address is not globally reachable.
    #[error("address is not public")]
    Private,
    /// The upstream redirects too often.
    #[error("too many redirects")]
    Redirects,
}

/// Decides which addresses a client may connect to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AddressPolicy {
    allow_private: bool,
    allowed: Arc<[IpAddr]>,
}

impl AddressPolicy {
    /// Allows public addresses and those in `allowed`; allows every address if `allow_private` is set.
    pub fn new(allow_private: bool, allowed: &[IpAddr]) -> Self {
        Self { allow_private, allowed: allowed.into() }
    }

    /// Checks the scheme, and the host if it is an address. The resolver checks the addresses of host names.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme);
        }
        match url.host() {
            None => Err(Refusal::Host),
            Some(Host::Domain(_)) => Ok(()),
            Some(Host::Ipv4(address)) => self.check_address(address.into()),
            Some(Host::Ipv6(address)) => self.check_address(address.into()),
        }
    }

    /// Checks an address before the client connects to it.
    pub fn check_address(&self, address: IpAddr) -> Result<(), Refusal> {
        if self.allow_private || is_public(address) || self.allowed.contains(&address) {
            Ok(())
        } else {
            Err(Refusal::Private)
        }
    }
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Whether the address is globally reachable: outside the special-purpose blocks of RFC 6890 and its successors.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = matches!(
        (a, b, c),
        (0 | 10 | 127 | 224.., _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 88, 99)
            | (192, 168, _)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
    );
    !special
}

/// Global unicast is `2000::/3`. Blocks in it that embed other addresses are refused: they could map to a private one.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let unicast = (0x2000..0x4000).contains(&segments[0]);
    let special = matches!(
        (segments[0], segments[1]),
        (0x2001, 0..=0x1ff | 0xdb8) // IETF protocols such as Teredo and ORCHID; documentation
            | (0x2002, _) // 6to4
            | (0x3fff, 0..=0xfff) // documentation
    );
    unicast && !special
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(url: &str) -> Result<(), Refusal> {
        AddressPolicy::default().check(&url.parse().unwrap())
    }

    #[test]
    fn public_addresses_are_allowed() {
        for url in [
            "https://dog.ceo/api",
            "http://8.8.8.8/",
            "http://100.128.0.1/",
            "http://172.32.0.1/",
            "http://[2606:4700:4700::1111]/",
            "http://[2001:4860:4860::8888]/",
        ] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
    }

    #[test]
    fn other_addresses_are_refused_in_every_notation() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0177.0.0.1",
            "0.0.0.0",
            "10.0.0.1",
            "100.64.0.1",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "255.255.255.255",
            "[::]",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "[::ffff:8.8.8.8]",
            "[::127.0.0.1]",
            "[64:ff9b::a00:1]",
            "[64:ff9b:1::1]",
            "[100::1]",
            "[2001::1]",
            "[2001:db8::1]",
            "[2002:7f00:1::]",
            "[3fff::1]",
            "[fc00::1]",
            "[fd12::1]",
            "[fe80::1]",
            "[fec0::1]",
            "[ff02::1]",
        ] {
            assert_eq!(check(&format!("http://{host}/")), Err(Refusal::Private), "{host}");
        }
    }

    #[test]
    fn other_schemes_are_refused() {
        for url in ["ftp://dog.ceo/", "file:///etc/passwd", "gopher://dog.ceo/", "data:,x", "javascript:1"] {
            assert_eq!(check(url), Err(Refusal::Scheme), "{url}");
        }
    }

    #[test]
    fn private_addresses_can_be_allowed_but_no_other_scheme() {
        let policy = AddressPolicy::new(true, &[]);
        assert_eq!(policy.check(&"http://127.0.0.1/".parse().unwrap()), Ok(()));
        assert_eq!(policy.check(&"file:///etc/passwd".parse().unwrap()), Err(Refusal::Scheme));
        let policy = AddressPolicy::new(false, &["127.0.0.1".parse().unwrap()]);
        assert_eq!(policy.check(&"http://127.0.0.1/".parse().unwrap()), Ok(()));
        assert_eq!(policy.check(&"http://127.0.0.2/".parse().unwrap()), Err(Refusal::Private));
    }
}
