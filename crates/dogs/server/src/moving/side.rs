//! The dogs of one store by id, read a page ahead of what is asked for.

use std::collections::VecDeque;

use dogs_domain::ports::DogQuery;
use dogs_domain::{Dog, DogId};
use kennel_core::Order;

use super::{End, PAGE, StoreError};

pub(super) struct Side {
    end: End,
    after: Option<DogId>,
    ready: VecDeque<Dog>,
    ended: bool,
}

impl Side {
    pub(super) const fn new(end: End, after: Option<DogId>) -> Self {
        Self { end, after, ready: VecDeque::new(), ended: false }
    }

    /// Reads a page, unless there is one in hand. Two pages are in hand at most.
    pub(super) async fn fill(&mut self) -> Result<(), StoreError> {
        if self.ended || self.ready.len() >= PAGE as usize {
            return Ok(());
        }
        let query = DogQuery { breed: None, after: self.after, order: Order::Ascending, limit: PAGE };
        let page = self.end.ask(|| self.end.stores.dogs.list(&query)).await?;
        self.ended = page.len() < PAGE as usize;
        self.after = page.last().map_or(self.after, |dog| Some(dog.id));
        self.ready.extend(page);
        Ok(())
    }

    /// Whether the next dog is not known before another page is read.
    pub(super) fn is_dry(&self) -> bool {
        self.ready.is_empty() && !self.ended
    }

    pub(super) fn next_id(&self) -> Option<DogId> {
        self.ready.front().map(|dog| dog.id)
    }

    pub(super) fn take(&mut self) -> Option<Dog> {
        self.ready.pop_front()
    }
}
