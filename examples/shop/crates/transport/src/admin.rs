//! The command line `admin`.

pub mod commands;

use std::process::ExitCode;

use anyhow::bail;
use async_trait::async_trait;
use shop_domain::ItemService;
use shop_domain::mailer::MailerQueue;

use commands::{Commands, NewestFlags, StockLoadFlags, StockPurgeFlags};

/// Implements the commands.
#[derive(Clone)]
pub struct AdminCli {
    /// The operations on items.
    pub items: ItemService,
    /// The queue `mailer`.
    pub mailer: MailerQueue,
}

#[async_trait]
impl Commands for AdminCli {
    async fn newest(&self, _flags: NewestFlags) -> anyhow::Result<ExitCode> {
        bail!("`newest` is not implemented")
    }

    async fn stock_load(&self, _flags: StockLoadFlags) -> anyhow::Result<ExitCode> {
        bail!("`stock load` is not implemented")
    }

    async fn stock_purge(&self, _flags: StockPurgeFlags) -> anyhow::Result<ExitCode> {
        bail!("`stock purge` is not implemented")
    }

    async fn verify(&self) -> anyhow::Result<ExitCode> {
        bail!("`verify` is not implemented")
    }
}
