//! The port of the store.

use async_trait::async_trait;
use kennel_config::Secret;
use kennel_core::{RepoError, Timestamp};
use uuid::Uuid;

use crate::words::{Word, Words};

/// Who can get tokens.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its id: the subject of its tokens.
    pub id: Uuid,
    /// Whether it is a person.
    pub kind: AccountKind,
    /// Its unique name.
    pub name: Word,
    /// The hash of its password or secret.
    pub credential: Secret,
    /// Its roles.
    pub roles: Words,
    /// Whether it gets no tokens.
    pub disabled: bool,
    /// How often its sessions were ended.
    pub epoch: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
}

/// A change of an account. Everything else stays as it is, also what another change writes at the same time.
#[derive(Debug, Clone)]
pub enum AccountChange {
    /// Another password, by its hash. Ends the sessions.
    Password(Secret),
    /// Another hash of the same password, if the stored one is still `from`.
    Rehash {
        /// The hash that is replaced.
        from: Secret,
        /// The new one.
        to: Secret,
    },
    /// Other roles.
    Roles(Words),
    /// It gets no tokens any more. Ends the sessions.
    Disable,
    /// It gets tokens again.
    Enable,
    /// Ends the sessions.
    Revoke,
}

/// The kinds of accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountKind {
    /// A person, who has a password.
    User,
    /// A program, which has a random secret.
    Service,
}

/// A role, and what it permits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Role {
    /// Its name.
    pub name: Word,
    /// The scopes of those who have it.
    pub permissions: Words,
}

/// A session of a user: a family of refresh tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: Uuid,
    /// The user.
    pub account: Uuid,
    /// The epoch of the account when its password was read. With another one, the session has ended: it began during a change
    /// that ends sessions.
    pub epoch: i64,
    /// The number of the only refresh token that is valid.
    pub generation: i64,
    /// When it began.
    pub created_at: Timestamp,
    /// When that refresh token was issued.
    pub rotated_at: Timestamp,
    /// When it ends if it is not used.
    pub idle_until: Timestamp,
    /// When it ends.
    pub ends_at: Timestamp,
    /// Whether it was ended early.
    pub revoked: bool,
}

/// The replacement of a refresh token by its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// The session.
    pub session: Uuid,
    /// The generation of the token that is replaced.
    pub from: i64,
    /// When.
    pub at: Timestamp,
    /// When the session ends if it is not used again.
    pub idle_until: Timestamp,
}

/// A key that access tokens are signed with.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// Its id in tokens.
    pub kid: String,
    /// The public key, in base64.
    pub public_key: String,
    /// The private key, encrypted.
    pub private_key: Secret,
    /// When it was created.
    pub created_at: Timestamp,
    /// When a newer key was created, if one was.
    pub retired_at: Option<Timestamp>,
}

/// What a new key means for the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// They are retired.
    Retire,
    /// They are deleted.
    Delete,
}

/// Stores accounts, roles, sessions and keys.
#[async_trait]
pub trait AuthRepository: Send + Sync + 'static {
    /// Adds an account. Fails with [`RepoError::Conflict`] if its id or its name exists.
    async fn insert_account(&self, account: &Account) -> Result<(), RepoError>;

    /// Returns the account with this id.
    async fn find_account(&self, id: Uuid) -> Result<Option<Account>, RepoError>;

    /// Returns the account with this name.
    async fn find_account_by_name(&self, name: &Word) -> Result<Option<Account>, RepoError>;

    /// Returns all accounts, by name.
    async fn list_accounts(&self) -> Result<Vec<Account>, RepoError>;

    /// Changes an account. A change that ends its sessions also increases its epoch by one, in the same transaction. Returns
    /// whether the account exists and, for [`AccountChange::Rehash`], still has the hash that is replaced.
    async fn change_account(&self, id: Uuid, change: &AccountChange, at: Timestamp) -> Result<bool, RepoError>;

    /// Adds or replaces a role.
    async fn put_role(&self, role: &Role) -> Result<(), RepoError>;

    /// Returns all roles, by name.
    async fn list_roles(&self) -> Result<Vec<Role>, RepoError>;

    /// Adds a session.
    async fn insert_session(&self, session: &Session) -> Result<(), RepoError>;

    /// Returns the session with this id.
    async fn find_session(&self, id: Uuid) -> Result<Option<Session>, RepoError>;

    /// Increases the generation of a session by one, if it is `from`, and if the session has not ended. Returns whether it did: of
    /// concurrent calls with one generation, one does.
    async fn rotate_session(&self, rotation: &Rotation) -> Result<bool, RepoError>;

    /// Ends a session. Returns whether it had not been ended before.
    async fn revoke_session(&self, id: Uuid, at: Timestamp) -> Result<bool, RepoError>;

    /// Deletes the sessions that have ended before this time by themselves. Returns how many.
    async fn delete_sessions(&self, ended_before: Timestamp) -> Result<u64, RepoError>;

    /// Returns all keys, the newest first.
    async fn list_keys(&self) -> Result<Vec<StoredKey>, RepoError>;

    /// Adds a key. In the same transaction, all others that are not retired are retired when it was created, or all others are
    /// deleted.
    async fn rotate_keys(&self, key: &StoredKey, others: Others) -> Result<(), RepoError>;

    /// Deletes the keys that were retired before this time. Returns how many.
    async fn delete_keys(&self, retired_before: Timestamp) -> Result<u64, RepoError>;
}

impl AccountChange {
    /// Whether all sessions of the account end.
    pub const fn ends_sessions(&self) -> bool {
        matches!(self, Self::Password(_) | Self::Disable | Self::Revoke)
    }
}

impl AccountKind {
    /// The stored name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Service => "service",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        [Self::User, Self::Service].into_iter().find(|kind| kind.name() == name)
    }
}
