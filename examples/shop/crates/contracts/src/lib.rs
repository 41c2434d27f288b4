//! What the documents of shop describe, as types and traits; `kennel generate` updates it after a change of a document.

pub mod orders;
pub mod payments;

/// The events of `messages`.
pub mod messages {
    pub mod order_paid;
}
