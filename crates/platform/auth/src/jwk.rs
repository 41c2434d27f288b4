//! Key sets as issuers publish them (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{RsaPublicKeyComponents, UnparsedPublicKey};
use serde::{Deserialize, Deserializer, Serialize};

use crate::algorithm::Algorithm;

/// A set of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JwkSet {
    /// The keys. What is not a key, or of a kind that this crate does not know, is ignored (RFC 7517, section 5).
    #[serde(deserialize_with = "readable")]
    pub keys: Vec<Jwk>,
}

/// A public key. Members that are not listed are ignored, also those of a private key.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Jwk {
    /// The kind: `OKP`, `EC` or `RSA`.
    pub kty: String,
    /// The id that tokens name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The use: `sig`, or none.
    #[serde(rename = "use", skip_serializing_if = "Option::is_none")]
    pub purpose: Option<String>,
    /// The operations, of which one has to be `verify`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_ops: Option<Vec<String>>,
    /// The only algorithm of the key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alg: Option<String>,
    /// The curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// A coordinate of a curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// A coordinate of a curve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The modulus of RSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// The exponent of RSA.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
}

/// A key that signatures are verified with, of one algorithm.
#[derive(Debug, Clone)]
pub(crate) struct VerificationKey {
    pub(crate) kid: Option<String>,
    pub(crate) algorithm: Algorithm,
    material: Material,
}

#[derive(Debug, Clone)]
enum Material {
    /// A point of a curve.
    Point(Vec<u8>),
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
}

impl Jwk {
    /// A key of Ed25519, as this crate's issuers publish it.
    pub fn ed25519(kid: impl Into<String>, public_key: &[u8]) -> Self {
        Self {
            kty: "OKP".to_owned(),
            kid: Some(kid.into()),
            purpose: Some("sig".to_owned()),
            alg: Some(Algorithm::EdDsa.name().to_owned()),
            crv: Some("Ed25519".to_owned()),
            x: Some(URL_SAFE_NO_PAD.encode(public_key)),
            ..Self::default()
        }
    }

    /// The key, if signatures can be verified with it. Without `alg`, its algorithm is that of its kind: each key has one.
    pub(crate) fn verification_key(&self) -> Option<VerificationKey> {
        let may_verify = self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && self.key_ops.as_ref().is_none_or(|operations| operations.iter().any(|operation| operation == "verify"));
        let (default, material) = self.material().filter(|_| may_verify)?;
        let algorithm = match self.alg.as_deref() {
            Some(name) => Algorithm::named(name)?,
            None => default,
        };
        let fits = algorithm == default || (default, algorithm) == (Algorithm::Rs256, Algorithm::Ps256);
        fits.then(|| VerificationKey { kid: self.kid.clone(), algorithm, material })
    }

    fn material(&self) -> Option<(Algorithm, Material)> {
        let [x, y, n, e] = [&self.x, &self.y, &self.n, &self.e].map(|part| decode(part.as_deref()));
        // A coordinate of another length would shift the other one.
        let of_length = |part: Option<Vec<u8>>, bytes| part.filter(|part| part.len() == bytes);
        let uncompressed = |bytes| Some([vec![4], of_length(x.clone(), bytes)?, of_length(y, bytes)?].concat());
        Some(match (self.kty.as_str(), self.crv.as_deref()) {
            ("OKP", Some("Ed25519")) => (Algorithm::EdDsa, Material::Point(of_length(x, 32)?)),
            ("EC", Some("P-256")) => (Algorithm::Es256, Material::Point(uncompressed(32)?)),
            ("EC", Some("P-384")) => (Algorithm::Es384, Material::Point(uncompressed(48)?)),
            // The library takes 2,048 to 8,192 bits.
            ("RSA", None) => {
                (Algorithm::Rs256, Material::Rsa { n: n.filter(|n| (256..=1024).contains(&n.len()))?, e: e? })
            }
            _ => return None,
        })
    }
}

fn readable<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Jwk>, D::Error> {
    let keys = Vec::<serde_json::Value>::deserialize(deserializer)?;
    Ok(keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect())
}

fn decode(text: Option<&str>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text?).ok()
}

impl VerificationKey {
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.material {
            Material::Point(point) => {
                UnparsedPublicKey::new(self.algorithm.verification(), point).verify(message, signature).is_ok()
            }
            Material::Rsa { n, e } => {
                let parameters = match self.algorithm {
                    Algorithm::Ps256 => &ring::signature::RSA_PSS_2048_8192_SHA256,
                    _ => &ring::signature::RSA_PKCS1_2048_8192_SHA256,
                };
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn algorithm(jwk: Value) -> Option<Algorithm> {
        let jwk: Jwk = serde_json::from_value(jwk).unwrap();
        jwk.verification_key().map(|key| key.algorithm)
    }

    #[test]
    fn a_key_has_one_algorithm_and_only_signing_keys_count() {
        let x = URL_SAFE_NO_PAD.encode([7; 32]);
        let n = URL_SAFE_NO_PAD.encode([0xff; 256]);
        let ed = |key: &str, value: Value| {
            let mut jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
            jwk[key] = value;
            algorithm(jwk)
        };
        for (key, value) in [("kid", json!("a")), ("use", json!("sig")), ("key_ops", json!(["verify"]))] {
            assert_eq!(ed(key, value), Some(Algorithm::EdDsa), "{key}");
        }
        assert_eq!(ed("alg", json!("Ed25519")), Some(Algorithm::EdDsa));
        for (key, value) in [
            ("use", json!("enc")),
            ("key_ops", json!(["sign"])),
            ("alg", json!("ES256")),
            ("alg", json!("HS256")),
            ("crv", json!("Ed448")),
            ("x", json!("AAAA")),
            ("x", json!("not base64!")),
        ] {
            assert_eq!(ed(key, value.clone()), None, "{key} {value}");
        }
        let rsa = |alg: Value| algorithm(json!({ "kty": "RSA", "n": n, "e": "AQAB", "alg": alg }));
        assert_eq!(rsa(Value::Null), Some(Algorithm::Rs256));
        assert_eq!(rsa(json!("PS256")), Some(Algorithm::Ps256));
        assert_eq!(rsa(json!("RS512")), None);
        let short = URL_SAFE_NO_PAD.encode([0xff; 128]);
        assert_eq!(algorithm(json!({ "kty": "RSA", "n": short, "e": "AQAB" })), None);
        assert_eq!(algorithm(json!({ "kty": "EC", "crv": "P-256", "x": x, "y": x })), Some(Algorithm::Es256));
        assert_eq!(algorithm(json!({ "kty": "oct", "k": x })), None, "a symmetric key is never used");
    }

    #[test]
    fn an_odd_key_does_not_hide_the_others() {
        let set: JwkSet =
            serde_json::from_value(json!({ "keys": [1, { "kty": 7 }, { "kty": "OKP", "kid": "a" }] })).unwrap();
        assert_eq!(set.keys.len(), 1);
    }

    #[test]
    fn unknown_members_and_private_parts_are_ignored() {
        let jwk: Jwk =
            serde_json::from_value(json!({ "kty": "OKP", "crv": "Ed25519", "d": "secret", "x5t": 1 })).unwrap();
        assert!(!format!("{jwk:?}").contains("secret"));
        assert!(!serde_json::to_string(&jwk).unwrap().contains("secret"));
    }
}
