//! The statements that all SQL databases understand.

use kennel_core::{RepoError, Timestamp};
use kennel_storage::{Columns, Statement, classify};
use uuid::Uuid;

use crate::store::{Account, AccountChange, AccountKind, Others, Role, Rotation, Session, StoredKey};
use crate::words::{self, Word};

const ACCOUNTS: &str =
    "SELECT id, kind, name, credential, roles, disabled, epoch, created_at, updated_at FROM accounts";
const SESSIONS: &str =
    "SELECT id, account_id, epoch, generation, created_at, rotated_at, idle_until, ends_at, revoked_at FROM sessions";
const KEYS: &str = "SELECT kid, public_key, private_key, created_at, retired_at FROM signing_keys";
/// The time of what has not happened.
const NEVER: i64 = 0;

pub(super) fn insert_account<S: Statement>(account: &Account) -> S {
    let mut insert = S::new(
        "INSERT INTO accounts (id, kind, name, credential, roles, disabled, epoch, created_at, updated_at) VALUES (",
    );
    insert.id(account.id).sql(", ").text(account.kind.name()).sql(", ").text(account.name.as_str()).sql(", ");
    insert.text(account.credential.expose()).sql(", ").text(&words::join(&account.roles)).sql(", ");
    insert.number(account.disabled.into()).sql(", ").number(account.epoch).sql(", ");
    insert.number(account.created_at.as_millis()).sql(", ");
    insert.number(account.updated_at.as_millis()).sql(")");
    insert
}

pub(super) fn account_by_id<S: Statement>(id: Uuid) -> S {
    let mut select = S::new(ACCOUNTS);
    select.sql(" WHERE id = ").id(id);
    select
}

pub(super) fn account_by_name<S: Statement>(name: &Word) -> S {
    let mut select = S::new(ACCOUNTS);
    select.sql(" WHERE name = ").text(name.as_str());
    select
}

pub(super) fn accounts<S: Statement>() -> S {
    let mut select = S::new(ACCOUNTS);
    select.sql(" ORDER BY name");
    select
}

/// Writes only the columns of the change: changes that overlap do not overwrite each other.
pub(super) fn change_account<S: Statement>(id: Uuid, change: &AccountChange, at: Timestamp) -> S {
    let mut update = S::new("UPDATE accounts SET updated_at = ");
    update.number(at.as_millis());
    match change {
        AccountChange::Password(hash) | AccountChange::Rehash { to: hash, .. } => {
            update.sql(", credential = ").text(hash.expose());
        }
        AccountChange::Roles(roles) => {
            update.sql(", roles = ").text(&words::join(roles));
        }
        AccountChange::Disable | AccountChange::Enable => {
            update.sql(", disabled = ").number(matches!(change, AccountChange::Disable).into());
        }
        AccountChange::Revoke => {}
    }
    if change.ends_sessions() {
        update.sql(", epoch = epoch + 1");
    }
    update.sql(" WHERE id = ").id(id);
    if let AccountChange::Rehash { from, .. } = change {
        update.sql(" AND credential = ").text(from.expose());
    }
    update
}

pub(super) fn delete_role<S: Statement>(name: &Word) -> S {
    let mut delete = S::new("DELETE FROM roles WHERE name = ");
    delete.text(name.as_str());
    delete
}

pub(super) fn insert_role<S: Statement>(role: &Role) -> S {
    let mut insert = S::new("INSERT INTO roles (name, permissions) VALUES (");
    insert.text(role.name.as_str()).sql(", ").text(&words::join(&role.permissions)).sql(")");
    insert
}

pub(super) fn roles<S: Statement>() -> S {
    S::new("SELECT name, permissions FROM roles ORDER BY name")
}

pub(super) fn insert_session<S: Statement>(session: &Session) -> S {
    let mut insert = S::new(
        "INSERT INTO sessions (id, account_id, epoch, generation, created_at, rotated_at, idle_until, ends_at, revoked_at) VALUES (",
    );
    insert.id(session.id).sql(", ").id(session.account).sql(", ").number(session.epoch);
    insert.sql(", ").number(session.generation);
    for time in [session.created_at, session.rotated_at, session.idle_until, session.ends_at] {
        insert.sql(", ").number(time.as_millis());
    }
    insert.sql(", ").number(NEVER).sql(")");
    insert
}

pub(super) fn session_by_id<S: Statement>(id: Uuid) -> S {
    let mut select = S::new(SESSIONS);
    select.sql(" WHERE id = ").id(id);
    select
}

/// The only statement that makes a refresh token valid: its conditions are checked and its change is made at once.
pub(super) fn rotate_session<S: Statement>(rotation: &Rotation) -> S {
    let mut update = S::new("UPDATE sessions SET generation = generation + 1, rotated_at = ");
    update.number(rotation.at.as_millis()).sql(", idle_until = ").number(rotation.idle_until.as_millis());
    update.sql(" WHERE id = ").id(rotation.session).sql(" AND generation = ").number(rotation.from);
    update.sql(" AND revoked_at = ").number(NEVER).sql(" AND idle_until > ").number(rotation.at.as_millis());
    update.sql(" AND ends_at > ").number(rotation.at.as_millis());
    update
}

pub(super) fn revoke_session<S: Statement>(id: Uuid, at: Timestamp) -> S {
    let mut update = S::new("UPDATE sessions SET revoked_at = ");
    update.number(at.as_millis()).sql(" WHERE id = ").id(id).sql(" AND revoked_at = ").number(NEVER);
    update
}

pub(super) fn revoke_sessions<S: Statement>(account: Uuid, at: Timestamp) -> S {
    let mut update = S::new("UPDATE sessions SET revoked_at = ");
    update.number(at.as_millis()).sql(" WHERE account_id = ").id(account);
    update.sql(" AND revoked_at = ").number(NEVER);
    update
}

pub(super) fn delete_sessions<S: Statement>(ended_before: Timestamp) -> S {
    let mut delete = S::new("DELETE FROM sessions WHERE ends_at < ");
    delete.number(ended_before.as_millis());
    delete
}

pub(super) fn keys<S: Statement>() -> S {
    let mut select = S::new(KEYS);
    select.sql(" ORDER BY created_at DESC, kid DESC");
    select
}

pub(super) fn replace_keys<S: Statement>(others: Others, at: Timestamp) -> S {
    if others == Others::Delete {
        return S::new("DELETE FROM signing_keys");
    }
    let mut update = S::new("UPDATE signing_keys SET retired_at = ");
    update.number(at.as_millis()).sql(" WHERE retired_at = ").number(NEVER);
    update
}

pub(super) fn insert_key<S: Statement>(key: &StoredKey) -> S {
    let mut insert = S::new("INSERT INTO signing_keys (kid, public_key, private_key, created_at, retired_at) VALUES (");
    insert.text(&key.kid).sql(", ").text(&key.public_key).sql(", ").text(key.private_key.expose()).sql(", ");
    insert.number(key.created_at.as_millis()).sql(", ");
    insert.number(key.retired_at.map_or(NEVER, Timestamp::as_millis)).sql(")");
    insert
}

pub(super) fn delete_keys<S: Statement>(retired_before: Timestamp) -> S {
    let mut delete = S::new("DELETE FROM signing_keys WHERE retired_at <> ");
    delete.number(NEVER).sql(" AND retired_at < ").number(retired_before.as_millis());
    delete
}

pub(super) fn read_account(row: &impl Columns) -> Result<Account, RepoError> {
    let text = |column| row.text(column).map_err(classify);
    Ok(Account {
        id: row.id("id").map_err(classify)?,
        kind: AccountKind::named(&text("kind")?).ok_or_else(|| RepoError::corrupt("an unknown kind of account"))?,
        name: text("name")?.parse().map_err(RepoError::corrupt)?,
        credential: text("credential")?.into(),
        roles: words::split(&text("roles")?)?,
        disabled: row.number("disabled").map_err(classify)? != 0,
        epoch: row.number("epoch").map_err(classify)?,
        created_at: row.time("created_at").map_err(classify)?,
        updated_at: row.time("updated_at").map_err(classify)?,
    })
}

pub(super) fn read_role(row: &impl Columns) -> Result<Role, RepoError> {
    Ok(Role {
        name: row.text("name").map_err(classify)?.parse().map_err(RepoError::corrupt)?,
        permissions: words::split(&row.text("permissions").map_err(classify)?)?,
    })
}

pub(super) fn read_session(row: &impl Columns) -> Result<Session, RepoError> {
    let time = |column| row.time(column).map_err(classify);
    Ok(Session {
        id: row.id("id").map_err(classify)?,
        account: row.id("account_id").map_err(classify)?,
        epoch: row.number("epoch").map_err(classify)?,
        generation: row.number("generation").map_err(classify)?,
        created_at: time("created_at")?,
        rotated_at: time("rotated_at")?,
        idle_until: time("idle_until")?,
        ends_at: time("ends_at")?,
        revoked: row.number("revoked_at").map_err(classify)? != NEVER,
    })
}

pub(super) fn read_key(row: &impl Columns) -> Result<StoredKey, RepoError> {
    let retired_at = row.time("retired_at").map_err(classify)?;
    Ok(StoredKey {
        kid: row.text("kid").map_err(classify)?,
        public_key: row.text("public_key").map_err(classify)?,
        private_key: row.text("private_key").map_err(classify)?.into(),
        created_at: row.time("created_at").map_err(classify)?,
        retired_at: (retired_at.as_millis() != NEVER).then_some(retired_at),
    })
}
