//! Passwords of users and secrets of programs.

use std::sync::Arc;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use kennel_config::Secret;
use kennel_core::BoxError;
use ring::rand::{SecureRandom as _, SystemRandom};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Passes over the memory.
const PASSES: u32 = 2;
const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;
/// How many passwords may wait for each one that is being hashed.
const WAITING: usize = 16;
/// Longer passwords are not hashed.
const MAX_PASSWORD_BYTES: usize = 1_024;
/// The start of the hash of a service account's secret.
const SHA256: &str = "sha256$";

/// What a hash costs.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// Memory of one hash.
    pub memory_bytes: u64,
    /// Number of hashes at once.
    pub parallel: usize,
}

/// Hashes passwords with Argon2id, in threads in which that blocks nothing else. Clones share the limits.
#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    params: Params,
    /// Held while a password is hashed.
    hashing: Arc<Semaphore>,
    /// Held by those that are hashed and those that wait.
    admitted: Arc<Semaphore>,
    /// The hash that the passwords of unknown users are compared with.
    decoy: Secret,
}

/// A password cannot be checked or hashed.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// Too many are waiting.
    #[error("too many passwords are being checked")]
    Overloaded,
    /// The library or the system failed.
    #[error("the password cannot be hashed")]
    Failed(#[source] BoxError),
}

impl Passwords {
    /// Hashes with this cost. Hashes that were stored with another one are still read.
    pub fn new(cost: Cost) -> Result<Self, PasswordError> {
        let memory_kib = u32::try_from(cost.memory_bytes / 1_024).unwrap_or(u32::MAX);
        let params = Params::new(memory_kib, PASSES, 1, Some(HASH_BYTES)).map_err(|error| failed(error.to_string()))?;
        let mut password = [0; 32];
        random(&mut password)?;
        let decoy = hash(&params, &password)?.into();
        Ok(Self(Arc::new(Inner {
            params,
            hashing: Arc::new(Semaphore::new(cost.parallel)),
            admitted: Arc::new(Semaphore::new(cost.parallel * (1 + WAITING))),
            decoy,
        })))
    }

    /// The hash of a password, with its salt and its cost.
    pub async fn hash(&self, password: Secret) -> Result<Secret, PasswordError> {
        let inner = Arc::clone(&self.0);
        self.run(move || hash(&inner.params, password.expose().as_bytes()).map(Into::into)).await
    }

    /// Whether the password is the one of the hash. Takes as long without a hash, and is false then.
    pub async fn verify(&self, password: Secret, hash: Option<Secret>) -> Result<bool, PasswordError> {
        let inner = Arc::clone(&self.0);
        self.run(move || {
            let stored = hash.as_ref().unwrap_or(&inner.decoy);
            let is_equal = matches(stored.expose(), password.expose().as_bytes())?;
            Ok(is_equal && hash.is_some())
        })
        .await
    }

    /// Whether the hash has another cost than new ones.
    pub fn is_outdated(&self, stored: &Secret) -> bool {
        let cost = |params: &Params| (params.m_cost(), params.t_cost(), params.p_cost());
        parse(stored.expose()).is_some_and(|(params, ..)| cost(&params) != cost(&self.0.params))
    }

    /// Runs `work` in a thread for blocking work. The limit also holds for work whose caller has gone: the permits belong to it.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let admitted = Arc::clone(&self.0.admitted).try_acquire_owned().map_err(|_| PasswordError::Overloaded)?;
        let hashing = Arc::clone(&self.0.hashing).acquire_owned().await.map_err(failed)?;
        let worked = tokio::task::spawn_blocking(move || {
            let result = work();
            drop((hashing, admitted));
            result
        });
        worked.await.map_err(failed)?
    }
}

impl std::fmt::Debug for Passwords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Passwords").finish_non_exhaustive()
    }
}

fn failed(error: impl Into<BoxError>) -> PasswordError {
    PasswordError::Failed(error.into())
}

fn random(bytes: &mut [u8]) -> Result<(), PasswordError> {
    SystemRandom::new().fill(bytes).map_err(|error| failed(error.to_string()))
}

/// The hash as a PHC string, the form in which other programs read it too.
fn hash(params: &Params, password: &[u8]) -> Result<String, PasswordError> {
    let mut salt = [0; SALT_BYTES];
    random(&mut salt)?;
    let hash = derive(params, password, &salt)?;
    let (salt, hash) = (STANDARD_NO_PAD.encode(salt), STANDARD_NO_PAD.encode(hash));
    let (memory, passes, lanes) = (params.m_cost(), params.t_cost(), params.p_cost());
    Ok(format!("$argon2id$v=19$m={memory},t={passes},p={lanes}${salt}${hash}"))
}

fn derive(params: &Params, password: &[u8], salt: &[u8]) -> Result<[u8; HASH_BYTES], PasswordError> {
    let mut hash = [0; HASH_BYTES];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone());
    argon2.hash_password_into(password, salt, &mut hash).map_err(|error| failed(error.to_string()))?;
    Ok(hash)
}

fn matches(stored: &str, password: &[u8]) -> Result<bool, PasswordError> {
    let unreadable = || failed("the stored hash is not readable");
    let (params, salt, hash) = parse(stored).ok_or_else(unreadable)?;
    // Hashing it would cost more with its length.
    if password.len() > MAX_PASSWORD_BYTES {
        return Ok(false);
    }
    Ok(derive(&params, password, &salt)?.ct_eq(hash.as_slice()).into())
}

/// The cost, the salt and the hash in a PHC string.
fn parse(stored: &str) -> Option<(Params, Vec<u8>, Vec<u8>)> {
    let mut parts = stored.strip_prefix("$argon2id$v=19$")?.split('$');
    let (costs, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let mut costs = costs.split(',');
    let mut cost = |name: &str| costs.next()?.strip_prefix(name)?.parse::<u32>().ok();
    let (memory, passes, lanes) = (cost("m=")?, cost("t=")?, cost("p=")?);
    let params = Params::new(memory, passes, lanes, Some(HASH_BYTES)).ok()?;
    Some((params, STANDARD_NO_PAD.decode(salt).ok()?, STANDARD_NO_PAD.decode(hash).ok()?))
}

/// A secret for a service account: 256 random bits, which need no slow hash.
pub fn new_secret() -> Result<Secret, PasswordError> {
    let mut bytes = [0; 32];
    random(&mut bytes)?;
    Ok(format!("ksa_{}", URL_SAFE_NO_PAD.encode(bytes)).into())
}

/// The stored form of such a secret.
pub fn hash_of_secret(secret: &Secret) -> Secret {
    format!("{SHA256}{}", STANDARD_NO_PAD.encode(Sha256::digest(secret.expose()))).into()
}

/// Whether the secret is the one of the hash. Takes as long without a hash, and is false then.
pub fn is_secret(secret: &Secret, stored: Option<&Secret>) -> bool {
    let given = hash_of_secret(secret);
    let stored = stored.map_or("", Secret::expose);
    given.expose().as_bytes().ct_eq(stored.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passwords(parallel: usize) -> Passwords {
        Passwords::new(Cost { memory_bytes: 1 << 20, parallel }).unwrap()
    }

    #[tokio::test]
    async fn a_password_is_verified_with_its_own_salt_and_cost() {
        let passwords = passwords(2);
        let [one, two] = [
            passwords.hash("correct horse".into()).await.unwrap(),
            passwords.hash("correct horse".into()).await.unwrap(),
        ];
        assert_ne!(one.expose(), two.expose());
        assert!(one.expose().starts_with("$argon2id$v=19$m=1024,t=2,p=1$"), "{}", one.expose());
        let dearer = Passwords::new(Cost { memory_bytes: 2 << 20, parallel: 1 }).unwrap();
        assert!(dearer.verify("correct horse".into(), Some(one.clone())).await.unwrap());
        assert!(dearer.is_outdated(&one) && !passwords.is_outdated(&one));
        for wrong in ["", "correct hors", "Correct horse", &"x".repeat(2_000)] {
            assert!(!passwords.verify(wrong.into(), Some(one.clone())).await.unwrap(), "{wrong}");
        }
        assert!(!passwords.verify("correct horse".into(), None).await.unwrap());
        let broken = passwords.verify("x".into(), Some("sha256$abc".into())).await;
        assert!(matches!(broken, Err(PasswordError::Failed(_))));
    }

    /// From the tests of the reference implementation.
    #[tokio::test]
    async fn hashes_of_other_programs_are_read() {
        let stored = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4";
        assert!(passwords(1).verify("password".into(), Some(stored.into())).await.unwrap());
        assert!(!passwords(1).verify("Password".into(), Some(stored.into())).await.unwrap());
    }

    #[tokio::test]
    async fn more_passwords_than_can_wait_are_refused() {
        let passwords = passwords(1);
        let mut calls = tokio::task::JoinSet::new();
        for _ in 0..100 {
            let passwords = passwords.clone();
            calls.spawn(async move { passwords.verify("x".into(), None).await });
        }
        let results = calls.join_all().await;
        let refused = results.iter().filter(|result| matches!(result, Err(PasswordError::Overloaded))).count();
        assert!((1..100).contains(&refused), "{refused}");
        assert!(passwords.verify("x".into(), None).await.is_ok(), "the permits are returned");
    }

    #[test]
    fn secrets_of_programs_are_random_and_compared_whole() {
        let [one, two] = [new_secret().unwrap(), new_secret().unwrap()];
        assert_ne!(one.expose(), two.expose());
        let stored = hash_of_secret(&one);
        assert!(is_secret(&one, Some(&stored)) && !is_secret(&two, Some(&stored)) && !is_secret(&one, None));
        assert!(!is_secret(&stored, Some(&stored)));
    }
}
