//! What the documents of «project» describe, as types and traits; `kennel generate` updates it after a change of a document.

//% for document in documents
pub mod «document»;
//% endfor
//% for set in sets

/// The events of `«set.name»`.
pub mod «set.module» {
//% for event in set.events
    pub mod «event»;
//% endfor
}
//% endfor
