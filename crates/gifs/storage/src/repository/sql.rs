//! GIFs in the SQL databases.

use std::collections::HashMap;
use std::slice;

use async_trait::async_trait;
use gifs_contracts::GifId;
use gifs_domain::catalogue::{Discovery, Gif, GifKey, GifQuery, GifRepository, Settled, Settlement};
use kennel_core::RepoError;
use kennel_storage::{SqlStore, SqlWrite as _};

use super::{MAX_ATTEMPTS, in_order, statements};

/// The GIFs of a SQL database.
pub(super) struct SqlGifs<S>(pub(super) S);

impl<S: SqlStore> SqlGifs<S> {
    async fn try_upsert(&self, found: &[&Discovery]) -> Result<(), RepoError> {
        let keys: Vec<_> = found.iter().map(|discovery| &discovery.gif.key).collect();
        let mut write = self.0.write().await?;
        let rows = write.fetch(statements::by_keys(&keys)).await?;
        let stored: Vec<_> = rows.iter().map(statements::read).collect::<Result<_, _>>()?;
        let stored: HashMap<_, _> = stored.iter().map(|gif| (&gif.key, gif)).collect();
        let (mut words, mut events) = (Vec::new(), Vec::new());
        for Discovery { gif, event } in found {
            let Some(stored) = stored.get(&gif.key) else {
                write.execute(statements::insert(gif)?).await?;
                words.extend(gif.details.words().into_iter().map(|word| (word, gif.id)));
                events.extend(event.clone());
                continue;
            };
            if let Some(event) = event
                && stored.id == gif.id
                && write.execute(statements::start_fetching(gif)).await? == 1
            {
                events.push(event.clone());
            }
            if stored.details != gif.details {
                write.execute(statements::replace_details(stored.id, gif)?).await?;
                write.execute(statements::delete_words(stored.id)).await?;
                words.extend(gif.details.words().into_iter().map(|word| (word, stored.id)));
            }
        }
        for words in S::chunks(&words, statements::MAX_WORD_ROWS) {
            write.execute(statements::insert_words(words)).await?;
        }
        write.append(&events).await?;
        write.commit().await
    }

    async fn try_settle(&self, settlement: &Settlement) -> Result<Settled, RepoError> {
        let mut write = self.0.write().await?;
        if !write.record(&settlement.receipt).await? {
            return Ok(Settled::Seen);
        }
        let changed = write.execute(statements::settle(settlement)?).await? == 1;
        if changed {
            write.append(slice::from_ref(&settlement.event)).await?;
        }
        write.commit().await?;
        Ok(match changed {
            true => Settled::Changed,
            false if self.0.fetch(statements::by_id(settlement.id)).await?.is_empty() => Settled::Unknown,
            false => Settled::Final,
        })
    }
}

#[async_trait]
impl<S: SqlStore> GifRepository for SqlGifs<S> {
    async fn upsert(&self, found: &[Discovery]) -> Result<Vec<Gif>, RepoError> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        // One order of keys in all calls: fewer deadlocks.
        let mut sorted: Vec<_> = found.iter().collect();
        sorted.sort_by_key(|discovery| &discovery.gif.key);
        let mut attempts = 0;
        while let Err(error) = self.0.run(|| self.try_upsert(&sorted)).await {
            attempts += 1;
            // Another call has added one of the GIFs since this one has read them.
            if !matches!(error, RepoError::Conflict) || attempts == MAX_ATTEMPTS {
                return Err(error);
            }
        }
        let keys: Vec<_> = found.iter().map(|discovery| discovery.gif.key.clone()).collect();
        Ok(in_order(&keys, self.find_by_keys(&keys).await?))
    }

    async fn settle(&self, settlement: &Settlement) -> Result<Settled, RepoError> {
        self.0.run(|| self.try_settle(settlement)).await
    }

    async fn find(&self, id: GifId) -> Result<Option<Gif>, RepoError> {
        Ok(self.0.select(|| statements::by_id(id), statements::read).await?.pop())
    }

    async fn find_by_keys(&self, keys: &[GifKey]) -> Result<Vec<Gif>, RepoError> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = keys.iter().collect();
        self.0.select(|| statements::by_keys(&keys), statements::read).await
    }

    async fn list(&self, query: &GifQuery) -> Result<Vec<Gif>, RepoError> {
        self.0.select(|| statements::page(query), statements::read).await
    }
}
