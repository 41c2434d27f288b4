//! The commands of operators. Secrets are read from standard input, never from arguments, which other users of the machine see.

use std::io::{IsTerminal as _, Read as _, stdin};
use std::process::ExitCode;

use clap::Subcommand;
use kennel_config::Secret;
use kennel_service::Context;
use kennel_service::output::print_line;

use crate::Auth;
use crate::accounts::AccountService;
use crate::service::{account_service, keys, repository, signer};
use crate::store::Role;
use crate::words::{Word, Words, join};

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum AuthCommand {
    /// Create and change users and service accounts.
    #[command(subcommand)]
    Account(AccountCommand),
    /// List roles, and set what they permit.
    #[command(subcommand)]
    Role(RoleCommand),
    /// List and rotate the keys that access tokens are signed with.
    #[command(subcommand)]
    Key(KeyCommand),
}

/// Commands for accounts.
#[derive(Debug, Clone, Subcommand)]
pub enum AccountCommand {
    /// List all accounts with their roles.
    List,
    /// Create a user, whose password is read from standard input.
    CreateUser {
        /// The name, in lower case.
        name: Word,
        /// Its roles.
        #[arg(long = "role")]
        roles: Vec<Word>,
    },
    /// Create a service account, and print its secret.
    CreateService {
        /// The name, in lower case.
        name: Word,
        /// Its roles.
        #[arg(long = "role")]
        roles: Vec<Word>,
    },
    /// Replace the roles of an account.
    SetRoles {
        /// The name.
        name: Word,
        /// Its roles.
        #[arg(long = "role")]
        roles: Vec<Word>,
    },
    /// Replace the password of a user by the one on standard input, and end its sessions.
    SetPassword {
        /// The name.
        name: Word,
    },
    /// Disable an account, and end its sessions.
    Disable {
        /// The name.
        name: Word,
    },
    /// Enable an account.
    Enable {
        /// The name.
        name: Word,
    },
    /// End all sessions of an account.
    Revoke {
        /// The name.
        name: Word,
    },
}

/// Commands for roles.
#[derive(Debug, Clone, Subcommand)]
pub enum RoleCommand {
    /// List all roles with their permissions.
    List,
    /// Add a role, or replace what it permits.
    Set {
        /// The name, in lower case.
        name: Word,
        /// Its permissions: scopes such as `market:read`.
        #[arg(long = "permission")]
        permissions: Vec<Word>,
    },
}

/// Commands for keys.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KeyCommand {
    /// List all keys.
    List,
    /// Create a key, which is published at once and signs about two minutes later. Tokens that are valid stay valid.
    Rotate {
        /// After a leak: delete all other keys at once. Tokens that they have signed are refused as soon as the services have
        /// read the keys again; clients have to refresh them.
        #[arg(long)]
        revoke: bool,
    },
}

pub(crate) async fn run(cx: &Context<Auth>, command: AuthCommand) -> anyhow::Result<ExitCode> {
    match command {
        AuthCommand::Account(command) => account(&account_service(cx).await?, command).await?,
        AuthCommand::Role(command) => role(&account_service(cx).await?, command).await?,
        AuthCommand::Key(KeyCommand::List) => {
            for key in repository(cx).await?.list_keys().await? {
                let state = key.retired_at.map_or_else(|| "current".to_owned(), |at| format!("retired at {at}"));
                print_line(format_args!("{}  created at {}  {state}", key.kid, key.created_at))?;
            }
        }
        AuthCommand::Key(KeyCommand::Rotate { revoke }) => {
            let signer = signer(cx, repository(cx).await?, keys(cx)?);
            let kid = if revoke { signer.withdraw().await? } else { signer.rotate().await? };
            print_line(format_args!("{kid} is published"))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn account(accounts: &AccountService, command: AccountCommand) -> anyhow::Result<()> {
    match command {
        AccountCommand::List => {
            for account in accounts.store.list_accounts().await? {
                let (kind, state) = (account.kind.name(), if account.disabled { "disabled" } else { "enabled" });
                let roles = join(&account.roles);
                print_line(format_args!("{}  {kind:<7}  {state:<8}  {}  {roles}", account.id, account.name))?;
            }
        }
        AccountCommand::CreateUser { name, roles } => {
            accounts.create_user(name.clone(), password()?, words(roles)).await?;
            print_line(format_args!("user {name} created"))?;
        }
        AccountCommand::CreateService { name, roles } => {
            let secret = accounts.create_service(name, words(roles)).await?;
            print_line(secret.expose())?;
        }
        AccountCommand::SetRoles { name, roles } => accounts.set_roles(&name, words(roles)).await?,
        AccountCommand::SetPassword { name } => accounts.set_password(&name, password()?).await?,
        AccountCommand::Disable { name } => accounts.set_disabled(&name, true).await?,
        AccountCommand::Enable { name } => accounts.set_disabled(&name, false).await?,
        AccountCommand::Revoke { name } => accounts.revoke(&name).await?,
    }
    Ok(())
}

async fn role(accounts: &AccountService, command: RoleCommand) -> anyhow::Result<()> {
    match command {
        RoleCommand::List => {
            for role in accounts.store.list_roles().await? {
                print_line(format_args!("{}  {}", role.name, join(&role.permissions)))?;
            }
        }
        RoleCommand::Set { name, permissions } => {
            accounts.put_role(&Role { name, permissions: words(permissions) }).await?;
        }
    }
    Ok(())
}

fn words(words: Vec<Word>) -> Words {
    words.into_iter().collect()
}

/// The password on standard input, without the newline at its end.
fn password() -> anyhow::Result<Secret> {
    if stdin().is_terminal() {
        eprintln!("Enter the password, which is shown, and end it with Ctrl-D:");
    }
    let mut text = String::new();
    stdin().take(4_096).read_to_string(&mut text)?;
    Ok(text.trim_end_matches(['\r', '\n']).into())
}
