//! The operations of `«path»`.

//% if clients
use std::sync::Arc;

//% endif
use async_trait::async_trait;
use kennel_core::«% if schemes %»{Failure, Principal}«% else %»Failure«% endif %»;
//% if clients
use «ident»_contracts::{«% for client in clients %»«client.module», «% endfor %»};
//% endif
use «ident»_contracts::«module»::{«names»};

use crate::NoteService;
//% for queue in adds
use crate::«queue.module»::«queue.Name»Queue;
//% endfor
//% for producer in producers
use crate::«producer.module»::«producer.Name»Producer;
//% endfor

/// Implements the operations.
#[derive(Clone)]
pub struct «Name»Api {
    /// The operations on notes.
    pub notes: NoteService,
//% for client in clients
    /// The client of `«client.module»`.
    pub «client.module»: Arc<dyn «client.module»::Api>,
//% endfor
//% for producer in producers
    /// The producer `«producer.name»`.
    pub «producer.module»: «producer.Name»Producer,
//% endfor
//% for queue in adds
    /// The queue `«queue.name»`.
    pub «queue.module»: «queue.Name»Queue,
//% endfor
}

#[async_trait]
impl Api for «Name»Api {
//% for scheme in schemes
    async fn «scheme»(&self, _credential: &str) -> Result<Principal, Failure> {
        Err(Failure::unimplemented("«scheme»"))
    }

//% endfor
//% for method in methods
    «method.signature» {
        Err(Failure::unimplemented("«method.id»"))
    }
//% if not loop.last

//% endif
//% endfor
}
