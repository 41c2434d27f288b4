//! GIFs in the SQL databases: one implementation, because they differ only in their drivers.

/// Implements the port for `$gifs`, a database of the engine; `$reader` is its executor of single statements.
macro_rules! sql_gifs {
    ($gifs:ident, $database:ty, $engine:ident, $reader:ident) => {
        use std::collections::HashMap;
        use std::slice;

        use async_trait::async_trait;
        use gifs_contracts::GifId;
        use gifs_domain::catalogue::{Discovery, Gif, GifKey, GifQuery, GifRepository, Settled, Settlement};
        use kennel_core::RepoError;
        use kennel_storage::$engine::{Write, classify};
        use sqlx::QueryBuilder;

        use super::{MAX_ATTEMPTS, in_order, statements};

        statements::statement!($database);

        impl $gifs {
            async fn select(&self, mut select: QueryBuilder<$database>) -> Result<Vec<Gif>, RepoError> {
                let rows = select.build().fetch_all(self.0.$reader()).await.map_err(classify)?;
                rows.iter().map(statements::read).collect()
            }

            async fn try_upsert(&self, found: &[&Discovery]) -> Result<(), RepoError> {
                let keys: Vec<_> = found.iter().map(|discovery| &discovery.gif.key).collect();
                let mut write = self.0.write().await?;
                let mut select: QueryBuilder<$database> = statements::by_keys(&keys);
                let rows = select.build().fetch_all(write.connection()).await.map_err(classify)?;
                let stored: Vec<_> = rows.iter().map(statements::read).collect::<Result<_, _>>()?;
                let stored: HashMap<_, _> = stored.iter().map(|gif| (&gif.key, gif)).collect();
                let (mut words, mut events) = (Vec::new(), Vec::new());
                for Discovery { gif, event } in found {
                    let Some(stored) = stored.get(&gif.key) else {
                        execute(&mut write, statements::insert(gif)?).await?;
                        words.extend(gif.details.words().into_iter().map(|word| (word, gif.id)));
                        events.extend(event.clone());
                        continue;
                    };
                    if let Some(event) = event
                        && stored.id == gif.id
                        && execute(&mut write, statements::start_fetching(gif)).await? == 1
                    {
                        events.push(event.clone());
                    }
                    if stored.details != gif.details {
                        execute(&mut write, statements::replace_details(stored.id, gif)?).await?;
                        execute(&mut write, statements::delete_words(stored.id)).await?;
                        words.extend(gif.details.words().into_iter().map(|word| (word, stored.id)));
                    }
                }
                for words in words.chunks(statements::MAX_WORD_ROWS) {
                    execute(&mut write, statements::insert_words(words)).await?;
                }
                write.append(&events).await?;
                write.commit().await
            }

            async fn try_settle(&self, settlement: &Settlement) -> Result<Settled, RepoError> {
                let mut write = self.0.write().await?;
                if !write.record(&settlement.receipt).await? {
                    return Ok(Settled::Seen);
                }
                let changed = execute(&mut write, statements::settle(settlement)?).await? == 1;
                if changed {
                    write.append(slice::from_ref(&settlement.event)).await?;
                }
                write.commit().await?;
                Ok(match changed {
                    true => Settled::Changed,
                    false if self.select(statements::by_id(settlement.id)).await?.is_empty() => Settled::Unknown,
                    false => Settled::Final,
                })
            }
        }

        /// Returns the number of changed rows.
        async fn execute(write: &mut Write, mut statement: QueryBuilder<$database>) -> Result<u64, RepoError> {
            let result = statement.build().execute(write.connection()).await.map_err(classify)?;
            Ok(result.rows_affected())
        }

        #[async_trait]
        impl GifRepository for $gifs {
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
                Ok(self.0.run(|| self.select(statements::by_id(id))).await?.pop())
            }

            async fn find_by_keys(&self, keys: &[GifKey]) -> Result<Vec<Gif>, RepoError> {
                if keys.is_empty() {
                    return Ok(Vec::new());
                }
                let keys: Vec<_> = keys.iter().collect();
                self.0.run(|| self.select(statements::by_keys(&keys))).await
            }

            async fn list(&self, query: &GifQuery) -> Result<Vec<Gif>, RepoError> {
                self.0.run(|| self.select(statements::page(query))).await
            }
        }
    };
}
pub(super) use sql_gifs;
