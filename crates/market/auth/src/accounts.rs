//! What operators do: create accounts, change their roles and passwords, and end their sessions.

use std::sync::Arc;

use kennel_config::Secret;
use kennel_core::{Clock, IdSource, RepoError};

use crate::passwords::{PasswordError, Passwords, hash_of_secret, new_secret};
use crate::store::{Account, AccountChange, AccountKind, AuthRepository, Role};
use crate::words::{Word, Words};

/// Lengths of passwords, in characters.
const MIN_PASSWORD_CHARS: usize = 12;
const MAX_PASSWORD_CHARS: usize = 256;
/// Number of roles of an account, and of permissions of a role.
const MAX_ROLES: usize = 32;
const MAX_PERMISSIONS: usize = 128;

/// The operations of operators.
pub struct AccountService {
    /// The accounts.
    pub store: Arc<dyn AuthRepository>,
    /// Hashes passwords.
    pub passwords: Passwords,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Ids of accounts.
    pub ids: Arc<dyn IdSource>,
}

/// Why an operation failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// An account has the name.
    #[error("an account named {0} exists")]
    Exists(Word),
    /// No account has the name.
    #[error("there is no account named {0}")]
    Unknown(Word),
    /// No role has the name.
    #[error("there is no role named {0}")]
    UnknownRole(Word),
    /// There are too many roles or permissions.
    #[error("an account has at most {MAX_ROLES} roles, and a role {MAX_PERMISSIONS} permissions")]
    TooMany,
    /// The password is too short or too long.
    #[error("a password must have {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters")]
    Password,
    /// Only users have passwords.
    #[error("{0} is a service account, which has no password")]
    NoPassword(Word),
    /// The password cannot be hashed.
    #[error(transparent)]
    Hash(#[from] PasswordError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] RepoError),
}

impl AccountService {
    /// Creates a user.
    pub async fn create_user(&self, name: Word, password: Secret, roles: Words) -> Result<(), AccountError> {
        self.check_roles(&roles).await?;
        let credential = self.hash(password).await?;
        self.create(AccountKind::User, name, credential, roles).await
    }

    /// Creates a service account. Returns its secret, which is not stored.
    pub async fn create_service(&self, name: Word, roles: Words) -> Result<Secret, AccountError> {
        self.check_roles(&roles).await?;
        let secret = new_secret()?;
        self.create(AccountKind::Service, name, hash_of_secret(&secret), roles).await?;
        Ok(secret)
    }

    async fn create(
        &self,
        kind: AccountKind,
        name: Word,
        credential: Secret,
        roles: Words,
    ) -> Result<(), AccountError> {
        let (id, now) = (self.ids.next(), self.clock.now());
        let (created_at, updated_at) = (now, now);
        let account = Account { id, kind, name, credential, roles, disabled: false, epoch: 0, created_at, updated_at };
        match self.store.insert_account(&account).await {
            Err(RepoError::Conflict) => Err(AccountError::Exists(account.name)),
            result => Ok(result?),
        }
    }

    /// Replaces the roles of an account. Tokens that are valid keep theirs until they expire.
    pub async fn set_roles(&self, name: &Word, roles: Words) -> Result<(), AccountError> {
        self.check_roles(&roles).await?;
        self.change(name, AccountChange::Roles(roles)).await
    }

    /// Replaces the password of a user, and ends its sessions.
    pub async fn set_password(&self, name: &Word, password: Secret) -> Result<(), AccountError> {
        if self.find(name).await?.kind == AccountKind::Service {
            return Err(AccountError::NoPassword(name.clone()));
        }
        let credential = self.hash(password).await?;
        self.change(name, AccountChange::Password(credential)).await
    }

    /// Disables an account and ends its sessions, or enables it.
    pub async fn set_disabled(&self, name: &Word, disabled: bool) -> Result<(), AccountError> {
        self.change(name, if disabled { AccountChange::Disable } else { AccountChange::Enable }).await
    }

    /// Ends all sessions of an account.
    pub async fn revoke(&self, name: &Word) -> Result<(), AccountError> {
        self.change(name, AccountChange::Revoke).await
    }

    /// Adds or replaces a role.
    pub async fn put_role(&self, role: &Role) -> Result<(), AccountError> {
        if role.permissions.len() > MAX_PERMISSIONS {
            return Err(AccountError::TooMany);
        }
        Ok(self.store.put_role(role).await?)
    }

    async fn change(&self, name: &Word, change: AccountChange) -> Result<(), AccountError> {
        let account = self.find(name).await?;
        let exists = self.store.change_account(account.id, &change, self.clock.now()).await?;
        if exists { Ok(()) } else { Err(AccountError::Unknown(name.clone())) }
    }

    async fn find(&self, name: &Word) -> Result<Account, AccountError> {
        self.store.find_account_by_name(name).await?.ok_or_else(|| AccountError::Unknown(name.clone()))
    }

    async fn hash(&self, password: Secret) -> Result<Secret, AccountError> {
        let chars = password.expose().chars().count();
        if !(MIN_PASSWORD_CHARS..=MAX_PASSWORD_CHARS).contains(&chars) {
            return Err(AccountError::Password);
        }
        Ok(self.passwords.hash(password).await?)
    }

    async fn check_roles(&self, roles: &Words) -> Result<(), AccountError> {
        if roles.len() > MAX_ROLES {
            return Err(AccountError::TooMany);
        }
        let known = self.store.list_roles().await?;
        let is_known = |role: &&Word| known.iter().any(|known| known.name == **role);
        match roles.iter().find(|role| !is_known(role)) {
            Some(unknown) => Err(AccountError::UnknownRole(unknown.clone())),
            None => Ok(()),
        }
    }
}
