//! Reads the dogs of one store in id order, one page ahead of the consumer.

use std::collections::VecDeque;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, DogId};
use kennel_core::Order;

use super::{PAGE, StoreError, StoreHandle};

pub(super) struct PageReader {
    store: StoreHandle,
    after: Option<DogId>,
    buffer: VecDeque<Dog>,
    at_end: bool,
}

impl PageReader {
    pub(super) const fn new(store: StoreHandle, after: Option<DogId>) -> Self {
        Self { store, after, buffer: VecDeque::new(), at_end: false }
    }

    /// Reads another page, unless a complete one is buffered. Buffers at most two pages.
    pub(super) async fn fill(&mut self) -> Result<(), StoreError> {
        if self.at_end || self.buffer.len() >= PAGE as usize {
            return Ok(());
        }
        let query = DogQuery { breed: None, after: self.after, order: Order::Ascending, limit: PAGE };
        let page = self.store.call(|| self.store.stores.dogs.list(&query)).await?;
        self.at_end = page.len() < PAGE as usize;
        self.after = page.last().map_or(self.after, |dog| Some(dog.id));
        self.buffer.extend(page);
        Ok(())
    }

    /// Whether another page must be read before the next dog is known.
    pub(super) fn needs_page(&self) -> bool {
        self.buffer.is_empty() && !self.at_end
    }

    pub(super) fn next_id(&self) -> Option<DogId> {
        self.buffer.front().map(|dog| dog.id)
    }

    pub(super) fn take(&mut self) -> Option<Dog> {
        self.buffer.pop_front()
    }
}
