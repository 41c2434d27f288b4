//! The command line `«name»`.

pub mod commands;

use std::process::ExitCode;

use anyhow::bail;
use async_trait::async_trait;
use «ident»_domain::NoteService;
//% for queue in adds
use «ident»_domain::«queue.module»::«queue.Name»Queue;
//% endfor

use commands::{Commands, «types|join(", ")»};

/// Implements the commands.
#[derive(Clone)]
pub struct «Name»Cli {
    /// The operations on notes.
    pub notes: NoteService,
//% for queue in adds
    /// The queue `«queue.name»`.
    pub «queue.module»: «queue.Name»Queue,
//% endfor
}

#[async_trait]
impl Commands for «Name»Cli {
//% for leaf in leaves
    async fn «leaf.fn»(&self«% if leaf.flags %», _flags: «leaf.flags»«% endif %») -> anyhow::Result<ExitCode> {
        bail!("`«leaf.path»` is not implemented")
    }
//% if not loop.last

//% endif
//% endfor
}
