//! Property: whatever calls run at the same time, whichever of them are cancelled and whichever the store rejects, each
//! other call has the result that it has alone, and is stored completely or not at all.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use dogs_domain::ports::{IdempotencyKey, Inserted};
use dogs_domain::{Dog, DogId, DogRepository};
use dogs_storages::Stores;
use kennel_core::{Event, RepoError};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::fixtures::{dog, event, id, key, pending, plain_dog, undecorated};

const ROUNDS: usize = 5;
const CALLS: usize = 40;

/// A small generator of random numbers (xorshift), so that a failure names the seed that repeats it.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<T: Clone>(&mut self, items: &[T]) -> Option<T> {
        let bound = u64::try_from(items.len()).ok().filter(|&bound| bound > 0)?;
        items.get(usize::try_from(self.below(bound)).ok()?).cloned()
    }
}

#[derive(Debug, Clone)]
enum Call {
    Insert { dog: Box<Dog>, events: Vec<Event>, key: Option<IdempotencyKey> },
    Find(DogId),
}

#[derive(Debug, Clone)]
struct Planned {
    call: Call,
    /// The call is dropped after this time.
    cancel_after: Option<Duration>,
    /// Calls of one round with the same group race; which of them wins is not determined.
    race: Option<u64>,
}

impl From<Call> for Planned {
    fn from(call: Call) -> Self {
        Self { call, cancel_after: None, race: None }
    }
}

/// What a call returned, with dogs by their number in the program, so that two runs with different ids can be compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    New,
    Replayed(String),
    KeyReused,
    Found(Option<String>),
    Failed(String),
    Cancelled,
}

impl From<Inserted> for Outcome {
    fn from(inserted: Inserted) -> Self {
        match inserted {
            Inserted::New => Self::New,
            Inserted::Replayed(dog) => Self::Replayed(label(&dog)),
            Inserted::KeyReused => Self::KeyReused,
        }
    }
}

/// Calls in rounds that run one after the other.
type Program = Vec<Vec<Planned>>;

/// Creates the program of a seed. The numbers in it are the same in every `run`, the ids and keys differ.
fn program(seed: u64, run: &'static str) -> Program {
    let mut planner = Planner { random: Random(seed), run, seed, number: 0, stored: Vec::new(), keys: Vec::new() };
    (0..ROUNDS).map(|_| planner.round()).collect()
}

struct Planner {
    random: Random,
    run: &'static str,
    seed: u64,
    number: u64,
    /// Dogs that earlier rounds have stored.
    stored: Vec<Dog>,
    /// Keys that earlier rounds have stored.
    keys: Vec<IdempotencyKey>,
}

impl Planner {
    fn round(&mut self) -> Vec<Planned> {
        let (mut round, mut stored, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        while round.len() < CALLS {
            self.number += 1;
            let name = format!("{} {:x} {}", self.run, self.seed, self.number);
            let shape = if self.number.is_multiple_of(2) { dog("husky") } else { plain_dog("beagle") };
            let (new, key) = (Dog { name: Some(name.clone()), ..shape }, key(&name, 1));
            match self.random.below(12) {
                0..3 => {
                    round.push(self.insert(&new, None));
                    stored.push(new);
                }
                3 => {
                    round.push(self.insert(&new, Some(&key)));
                    stored.push(new);
                    keys.push(key);
                }
                4..6 => round.extend(self.race(&new, &key)),
                6..9 => round.extend(self.repetition(&new)),
                // A text that not every store accepts.
                9 => round.push(self.insert(&Dog { name: Some(format!("{name}\0")), ..new }, Some(&key))),
                10 => {
                    let cancel_after = Some(Duration::from_micros(self.random.below(4_000)));
                    round.push(Planned { cancel_after, ..self.insert(&new, Some(&key)) });
                }
                _ => {
                    let known = self.random.pick(&self.stored).map(|dog| dog.id);
                    round.extend(known.into_iter().chain([new.id]).map(|id| Planned::from(Call::Find(id))));
                }
            }
        }
        self.stored.extend(stored);
        self.keys.extend(keys);
        round
    }

    fn insert(&mut self, dog: &Dog, key: Option<&IdempotencyKey>) -> Planned {
        let events = (0..self.random.below(3)).map(|_| Event { key: dog.id.to_string(), ..event() }).collect();
        Planned::from(Call::Insert { dog: Box::new(dog.clone()), events, key: key.cloned() })
    }

    /// Two calls at once of which one succeeds: with the same id, or the same request with another id.
    fn race(&mut self, first: &Dog, key: &IdempotencyKey) -> [Planned; 2] {
        let (second, key) = match self.random.below(2) {
            0 => (Dog { breed: "pug".parse().unwrap(), ..first.clone() }, None),
            _ => (Dog { id: DogId(id()), ..first.clone() }, Some(key)),
        };
        let race = Some(self.number);
        [first, &second].map(|dog| Planned { race, ..self.insert(dog, key) })
    }

    /// An insert that an earlier round determines: of an existing id, of the same request, or of another one with its
    /// key.
    fn repetition(&mut self, new: &Dog) -> Option<Planned> {
        let what = self.random.below(3);
        if what == 0 {
            let stored = self.random.pick(&self.stored)?;
            return Some(self.insert(&Dog { breed: "pug".parse().unwrap(), ..stored }, None));
        }
        let mut key = self.random.pick(&self.keys)?;
        if what == 1 {
            key.fingerprint = [9; 32];
        }
        Some(self.insert(new, Some(&key)))
    }
}

/// The number of a dog in its program.
fn label(dog: &Dog) -> String {
    let name = dog.name.as_deref().unwrap_or_default();
    format!("{} {}", name.rsplit(' ').next().unwrap_or_default(), dog.breed)
}

async fn execute(dogs: &dyn DogRepository, planned: &Planned) -> Outcome {
    let call = async {
        match &planned.call {
            Call::Insert { dog, events, key } => {
                dogs.insert(dog, events, key.as_ref()).await.map(|inserted| match inserted {
                    Inserted::New => Outcome::New,
                    Inserted::Replayed(dog) => Outcome::Replayed(label(&dog)),
                    Inserted::KeyReused => Outcome::KeyReused,
                })
            }
            Call::Find(id) => dogs.find(*id).await.map(|dog| Outcome::Found(dog.as_ref().map(label))),
        }
    };
    let failed = |error: RepoError| Outcome::Failed(format!("{:?}", error.kind()));
    match planned.cancel_after {
        None => call.await.unwrap_or_else(failed),
        Some(after) => timeout(after, call).await.map_or(Outcome::Cancelled, |result| result.unwrap_or_else(failed)),
    }
}

/// Runs the calls one after the other.
async fn run_alone(dogs: &dyn DogRepository, program: &Program) -> Vec<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for round in program {
        let mut of_round = Vec::new();
        for planned in round {
            of_round.push(execute(dogs, planned).await);
        }
        outcomes.push(of_round);
    }
    outcomes
}

/// Runs the calls of each round at the same time.
async fn run_together(dogs: &Arc<dyn DogRepository>, program: &Program) -> Vec<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for round in program {
        let mut calls = JoinSet::new();
        for (index, planned) in round.iter().cloned().enumerate() {
            let dogs = Arc::clone(dogs);
            calls.spawn(async move { (index, execute(&*dogs, &planned).await) });
        }
        let of_round: BTreeMap<_, _> = calls.join_all().await.into_iter().collect();
        outcomes.push(of_round.into_values().collect());
    }
    outcomes
}

/// The outcomes without those of cancelled calls; those of a race are sorted and without the winner's number.
fn comparable(program: &Program, outcomes: &[Vec<Outcome>]) -> Vec<Vec<(usize, Outcome)>> {
    let of_round = |(round, outcomes): (&Vec<Planned>, &Vec<Outcome>)| {
        let mut races = BTreeMap::<u64, Vec<(usize, Outcome)>>::new();
        let mut compared = Vec::new();
        for (index, (planned, outcome)) in round.iter().zip(outcomes).enumerate() {
            match (planned.cancel_after, planned.race) {
                (Some(_), _) => {}
                (None, None) => compared.push((index, outcome.clone())),
                (None, Some(race)) => {
                    let anonymous = match outcome {
                        Outcome::Replayed(_) => Outcome::Replayed(String::new()),
                        other => other.clone(),
                    };
                    races.entry(race).or_default().push((index, anonymous));
                }
            }
        }
        for race in races.into_values() {
            let (indexes, mut outcomes): (Vec<_>, Vec<_>) = race.into_iter().unzip();
            outcomes.sort();
            compared.extend(indexes.into_iter().zip(outcomes));
        }
        compared
    };
    program.iter().zip(outcomes).map(of_round).collect()
}

/// Every insert is stored with its events in their order if it returned that it is new, and otherwise not at all; one
/// that was cancelled is one of both.
async fn assert_complete(stores: &Stores, dogs: &dyn DogRepository, program: &Program, outcomes: &[Vec<Outcome>]) {
    let pending = pending(stores).await;
    let positions: HashMap<_, _> = pending.iter().enumerate().map(|(position, event)| (event.id, position)).collect();
    let mut last_of_rounds = 0;
    for (round, outcomes) in program.iter().zip(outcomes) {
        let mut last = last_of_rounds;
        for (planned, outcome) in round.iter().zip(outcomes) {
            let Call::Insert { dog, events, key } = &planned.call else { continue };
            let found = dogs.find(dog.id).await.unwrap();
            let found_events: Vec<_> = events.iter().filter_map(|event| positions.get(&event.id).copied()).collect();
            let is_stored = match outcome {
                Outcome::New => true,
                Outcome::Cancelled => found.as_ref() == Some(&**dog),
                _ => false,
            };
            assert_eq!(
                found_events.len(),
                if is_stored { events.len() } else { 0 },
                "{planned:?} {outcome:?} {found:?}"
            );
            assert!(
                found_events.is_sorted() && found_events.iter().all(|&position| position >= last_of_rounds),
                "{planned:?}"
            );
            if is_stored {
                assert_eq!(found.as_ref(), Some(&**dog), "{outcome:?}");
            }
            if *outcome != Outcome::Cancelled {
                last = found_events.last().map_or(last, |&position| last.max(position));
            } else if let Some(key) = key {
                let again = dogs.insert(dog, &[], Some(key)).await.unwrap();
                assert_eq!(matches!(again, Inserted::Replayed(_)), is_stored, "{planned:?}: {again:?}");
            }
        }
        last_of_rounds = last;
    }
}

pub(crate) async fn concurrent_calls_have_the_results_that_they_have_alone(stores: &Stores) {
    let alone = undecorated(stores);
    for seed in [0x9e37_79b9_7f4a_7c15, 0xbf58_476d_1ce4_e5b9, 0x94d0_49bb_1331_11eb] {
        let (first, second) = (program(seed, "alone"), program(seed, "together"));
        let expected = run_alone(&*alone, &first).await;
        let outcomes = run_together(&stores.dogs, &second).await;
        let expected = comparable(&first, &expected);
        for (round, outcomes) in comparable(&second, &outcomes).into_iter().enumerate() {
            assert_eq!(outcomes, expected[round], "round {round} of seed {seed:#x}");
        }
        // Calls that were cancelled may still run.
        sleep(Duration::from_millis(300)).await;
        assert_complete(stores, &*alone, &second, &outcomes).await;
    }
}
