//! What is derived from `TOKEN_SECRET`: the encryption of private keys, and the codes in refresh tokens.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use kennel_config::Secret;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::hmac;
use ring::rand::{SecureRandom as _, SystemRandom};

/// The shortest secret, in bytes.
pub const MIN_SECRET_BYTES: usize = 32;

/// Keys that are derived from the secret. Whoever has it can create refresh tokens and read the private keys of the database.
pub struct Keys {
    encryption: LessSafeKey,
    refresh: hmac::Key,
}

/// The secret is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must have at least {MIN_SECRET_BYTES} characters")]
pub struct ShortSecret;

/// A stored key was encrypted with another secret, or the system has no random numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// It was encrypted with another secret, or changed.
    #[error("the signing key cannot be decrypted: TOKEN_SECRET is not the one that it was stored with")]
    Opened,
    /// The system has no random numbers.
    #[error("the signing key cannot be encrypted")]
    Sealed,
}

/// Derived keys have 32 bytes.
struct Length;

impl KeyType for Length {
    fn len(&self) -> usize {
        32
    }
}

impl Keys {
    /// Derives the keys.
    pub fn derive(secret: &Secret) -> Result<Self, ShortSecret> {
        let secret = secret.expose().trim().as_bytes();
        if secret.len() < MIN_SECRET_BYTES {
            return Err(ShortSecret);
        }
        let source = Salt::new(HKDF_SHA256, b"kennel auth").extract(secret);
        let derive = |purpose: &[u8]| {
            let mut key = [0; 32];
            source.expand(&[purpose], Length).and_then(|key_of| key_of.fill(&mut key)).map_err(|_| ShortSecret)?;
            Ok(key)
        };
        let encryption = UnboundKey::new(&AES_256_GCM, &derive(b"signing keys")?).map_err(|_| ShortSecret)?;
        let refresh = hmac::Key::new(hmac::HMAC_SHA256, &derive(b"refresh tokens")?);
        Ok(Self { encryption: LessSafeKey::new(encryption), refresh })
    }

    /// Encrypts the private key with the id `kid`. Each call has another result.
    pub fn seal(&self, kid: &str, private_key: &[u8]) -> Result<Secret, SealError> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).map_err(|_| SealError::Sealed)?;
        let mut sealed = private_key.to_vec();
        let (unique, of) = (Nonce::assume_unique_for_key(nonce), Aad::from(kid));
        self.encryption.seal_in_place_append_tag(unique, of, &mut sealed).map_err(|_| SealError::Sealed)?;
        Ok(STANDARD_NO_PAD.encode([nonce.as_slice(), &sealed].concat()).into())
    }

    /// Decrypts a private key.
    pub fn open(&self, kid: &str, sealed: &Secret) -> Result<Vec<u8>, SealError> {
        let sealed = STANDARD_NO_PAD.decode(sealed.expose()).map_err(|_| SealError::Opened)?;
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>().ok_or(SealError::Opened)?;
        let mut sealed = sealed.to_vec();
        let opened = self.encryption.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(kid), &mut sealed);
        opened.map(|key| key.to_vec()).map_err(|_| SealError::Opened)
    }

    pub(crate) fn code(&self, message: &[u8]) -> hmac::Tag {
        hmac::sign(&self.refresh, message)
    }

    pub(crate) fn is_code(&self, message: &[u8], code: &[u8]) -> bool {
        hmac::verify(&self.refresh, message, code).is_ok()
    }
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_only_with_its_secret_and_its_id() {
        let keys = Keys::derive(&"0123456789abcdef0123456789abcdef\n".into()).unwrap();
        let sealed = keys.seal("k1", b"private").unwrap();
        assert_ne!(sealed.expose(), keys.seal("k1", b"private").unwrap().expose());
        assert_eq!(keys.open("k1", &sealed), Ok(b"private".to_vec()));
        let same = Keys::derive(&"0123456789abcdef0123456789abcdef".into()).unwrap();
        assert_eq!(same.open("k1", &sealed), Ok(b"private".to_vec()));
        let other = Keys::derive(&"1123456789abcdef0123456789abcdef".into()).unwrap();
        for (keys, kid) in [(&keys, "k2"), (&other, "k1")] {
            assert_eq!(keys.open(kid, &sealed), Err(SealError::Opened));
        }
        for broken in ["", "AAAA", "not base64!"] {
            assert_eq!(keys.open("k1", &broken.into()), Err(SealError::Opened));
        }
        assert!(Keys::derive(&"short".into()).is_err());
        assert_eq!(format!("{keys:?}"), "***");
    }
}
