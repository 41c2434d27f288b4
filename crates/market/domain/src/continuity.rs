//! Which ids of an instrument's trades are there, and which are missing.

use serde::{Deserialize, Serialize};

use crate::{Micros, Window};

/// Ids that are missing, between two trades that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The first missing id.
    pub from: i64,
    /// The last missing id.
    pub to: i64,
    /// The time of the trade before them.
    pub after: Micros,
    /// The time of the trade after them.
    pub before: Micros,
}

impl Missing {
    /// The last missing id, if it is not known whether and how many are missing.
    pub const UNKNOWN: i64 = i64::MAX - 1;

    /// Number of missing ids.
    pub const fn count(&self) -> i64 {
        self.to.saturating_sub(self.from).saturating_add(1)
    }

    /// Whether a missing trade can belong to the window.
    pub const fn touches(&self, window: Window) -> bool {
        self.after.0 < window.end().0 && self.before.0 >= window.open_time.0
    }
}

/// What became of a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GapState {
    /// Candles wait for the missing trades.
    Open,
    /// Candles became final without the missing trades, which are still accepted.
    GivenUp,
    /// No trade is missing any more.
    Healed,
}

impl GapState {
    /// Its name in texts.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::GivenUp => "given_up",
            Self::Healed => "healed",
        }
    }

    /// The state of this name.
    pub fn of_name(name: &str) -> Option<Self> {
        [Self::Open, Self::GivenUp, Self::Healed].into_iter().find(|state| state.name() == name)
    }
}

/// A jump of the ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// All ids that were missing when it was found. The first one identifies the gap of an instrument.
    pub whole: Missing,
    /// What became of it.
    pub state: GapState,
    /// The ids that are still missing, in ascending order.
    pub missing: Vec<Missing>,
}

impl Gap {
    fn new(whole: Missing) -> Self {
        Self { whole, state: GapState::Open, missing: vec![whole] }
    }

    /// Number of ids that are still missing.
    pub fn count(&self) -> i64 {
        self.missing.iter().fold(0, |sum, missing| sum.saturating_add(missing.count()))
    }
}

/// What an id says about the ids before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It was there already.
    Duplicate,
    /// It is new.
    New {
        /// The gap that was opened by its jump, or that it made smaller or healed.
        gap: Option<Gap>,
    },
}

/// The ids of one instrument's trades, which its venue counts without gaps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Continuity {
    first: i64,
    last: i64,
    /// The time of the first trade.
    started: Micros,
    /// The latest time of a trade.
    latest: Micros,
    /// The gaps that are not healed, in ascending order.
    gaps: Vec<Gap>,
}

impl Continuity {
    /// Starts with the first trade that was seen.
    pub const fn start(id: i64, time: Micros) -> Self {
        Self { first: id, last: id, started: time, latest: time, gaps: Vec::new() }
    }

    /// Continues after the trade `last`, of the time `latest`, when these ids are missing.
    pub fn resume(last: i64, latest: Micros, missing: &[Missing]) -> Self {
        let mut ids = Self::start(last, latest);
        ids.precede(last, latest, missing);
        ids
    }

    /// Adds what is known about the ids before the first one: the trade `last`, of the time `latest`, was there, and these
    /// ids, in ascending order, are missing. What is said about later ids is ignored.
    pub fn precede(&mut self, last: i64, latest: Micros, missing: &[Missing]) {
        let (first, started) = (self.first, self.started);
        let before = missing.iter().filter(|missing| missing.from < first);
        let mut ranges: Vec<_> = before.map(|missing| Missing { to: missing.to.min(first - 1), ..*missing }).collect();
        if last < first - 1 {
            let (after, before) = (latest.min(started), latest.max(started));
            ranges.push(Missing { from: last + 1, to: first - 1, after, before });
        }
        let Some(lowest) = ranges.first() else { return };
        (self.first, self.started) = (lowest.from - 1, lowest.after.min(started));
        self.gaps.splice(0..0, ranges.into_iter().map(Gap::new));
    }

    /// The highest id that was seen.
    pub const fn last(&self) -> i64 {
        self.last
    }

    /// The time of the first trade.
    pub const fn started(&self) -> Micros {
        self.started
    }

    /// The latest time of a trade.
    pub const fn latest(&self) -> Micros {
        self.latest
    }

    /// The gaps that are not healed.
    pub fn gaps(&self) -> &[Gap] {
        &self.gaps
    }

    /// Whether a trade with this id was seen.
    pub fn has(&self, id: i64) -> bool {
        (self.first..=self.last).contains(&id) && self.find(id).is_none()
    }

    /// The range of missing ids that this id is one of.
    pub fn missing(&self, id: i64) -> Option<&Missing> {
        let (gap, range) = self.find(id)?;
        self.gaps.get(gap)?.missing.get(range)
    }

    /// The gap that misses this id, and the range of it.
    fn find(&self, id: i64) -> Option<(usize, usize)> {
        let index = self.gaps.partition_point(|gap| gap.whole.to < id);
        let gap = self.gaps.get(index)?;
        let range = gap.missing.partition_point(|missing| missing.to < id);
        (gap.missing.get(range)?.from <= id).then_some((index, range))
    }

    /// Records a trade.
    pub fn observe(&mut self, id: i64, time: Micros) -> Seen {
        let gap = if id > self.last {
            let missing = Missing { from: self.last + 1, to: id - 1, after: self.latest, before: time };
            self.last = id;
            self.open(missing)
        } else if id < self.first {
            let missing = Missing { from: id + 1, to: self.first - 1, after: time, before: self.started };
            self.first = id;
            self.started = self.started.min(time);
            self.open(missing)
        } else if let Some((gap, range)) = self.find(id) {
            Some(self.fill(gap, range, id, time))
        } else {
            return Seen::Duplicate;
        };
        self.latest = self.latest.max(time);
        Seen::New { gap }
    }

    fn open(&mut self, found: Missing) -> Option<Gap> {
        if found.from > found.to {
            return None;
        }
        // A venue may report times that are not in the order of the ids.
        let (after, before) = (found.after.min(found.before), found.after.max(found.before));
        let gap = Gap::new(Missing { after, before, ..found });
        let index = self.gaps.partition_point(|other| other.whole.to < found.from);
        self.gaps.insert(index, gap.clone());
        Some(gap)
    }

    /// Removes an id from those that are missing.
    fn fill(&mut self, index: usize, range: usize, id: i64, time: Micros) -> Gap {
        let gap = &mut self.gaps[index];
        let missing = gap.missing[range];
        let below = Missing { to: id - 1, before: missing.after.max(time), ..missing };
        let above = Missing { from: id + 1, after: missing.before.min(time), ..missing };
        let rest = [below, above].into_iter().filter(|part| part.from <= part.to);
        gap.missing.splice(range..=range, rest);
        if gap.missing.is_empty() {
            let healed = self.gaps.remove(index);
            return Gap { state: GapState::Healed, ..healed };
        }
        gap.clone()
    }

    /// Gives up the gaps after which trades of more than `hold` microseconds were seen.
    pub fn give_up(&mut self, hold: i64) -> Vec<Gap> {
        let latest = self.latest.0;
        let late = |gap: &&mut Gap| gap.state == GapState::Open && latest.saturating_sub(gap.whole.before.0) > hold;
        let given_up = self.gaps.iter_mut().filter(late).map(|gap| {
            gap.state = GapState::GivenUp;
            gap.clone()
        });
        given_up.collect()
    }

    /// Forgets the gaps that were given up and are more than `age` microseconds older than the latest trade. Their ids count
    /// as seen from then on.
    pub fn forget(&mut self, age: i64) {
        let latest = self.latest.0;
        let is_old = |gap: &Gap| latest.saturating_sub(gap.whole.before.0) > age;
        self.gaps.retain(|gap| gap.state == GapState::Open || !is_old(gap));
    }

    /// Forgets the gap with this first id. Its ids count as seen from then on.
    pub fn dismiss(&mut self, from: i64) {
        self.gaps.retain(|gap| gap.whole.from != from);
    }

    /// The time up to which no trade is waited for: windows that end before or at it are final.
    pub fn watermark(&self) -> Micros {
        let open = self.gaps.iter().filter(|gap| gap.state == GapState::Open);
        let waits = open.flat_map(|gap| &gap.missing).map(|missing| missing.after);
        waits.min().map_or(self.latest, |time| time.min(self.latest))
    }

    /// Whether every trade of the window since the first one was seen, as far as is known. The window in which the first
    /// trade was seen is not complete, since earlier ones are not known.
    pub fn is_complete(&self, window: Window) -> bool {
        let missing = self.gaps.iter().flat_map(|gap| &gap.missing).any(|missing| missing.touches(window));
        window.open_time > self.started && !missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timeframe;

    fn window(open: i64) -> Window {
        Window::of(Timeframe::M1, Micros(open))
    }

    fn gap_of(seen: Seen) -> Option<Gap> {
        match seen {
            Seen::Duplicate => None,
            Seen::New { gap } => gap,
        }
    }

    #[test]
    fn a_jump_opens_a_gap_that_its_ids_heal() {
        let mut ids = Continuity::start(10, Micros(100));
        assert_eq!(ids.observe(11, Micros(110)), Seen::New { gap: None });
        let opened = gap_of(ids.observe(15, Micros(150))).unwrap();
        assert_eq!((opened.whole.from, opened.whole.to, opened.count()), (12, 14, 3));
        assert_eq!((opened.whole.after, opened.whole.before), (Micros(110), Micros(150)));
        assert_eq!(ids.watermark(), Micros(110));
        let smaller = gap_of(ids.observe(13, Micros(130))).unwrap();
        assert_eq!((smaller.count(), smaller.missing.len(), smaller.state), (2, 2, GapState::Open));
        assert!(ids.has(13) && !ids.has(12) && !ids.has(14) && !ids.has(16));
        assert_eq!(ids.observe(13, Micros(130)), Seen::Duplicate);
        ids.observe(14, Micros(140));
        let healed = gap_of(ids.observe(12, Micros(120))).unwrap();
        assert_eq!((healed.state, healed.count()), (GapState::Healed, 0));
        assert_eq!((ids.gaps().len(), ids.watermark()), (0, Micros(150)));
    }

    #[test]
    fn what_was_missing_is_still_missing_after_a_restart() {
        let missing = [(5, 6), (9, 9)].map(|(from, to)| Missing { from, to, after: Micros(40), before: Micros(90) });
        let mut ids = Continuity::resume(12, Micros(120), &missing);
        assert!(ids.has(4) && !ids.has(5) && ids.has(7) && !ids.has(9) && ids.has(12) && !ids.has(13));
        assert_eq!(gap_of(ids.observe(9, Micros(60))).unwrap().state, GapState::Healed);
        assert_eq!(gap_of(ids.observe(15, Micros(150))).unwrap().whole.from, 13);
        assert_eq!(Continuity::resume(12, Micros(120), &[]), Continuity::start(12, Micros(120)));
    }

    #[test]
    fn what_is_known_later_about_earlier_ids_is_missing_until_it_is_there() {
        let missing = [(5, 6), (9, 25)].map(|(from, to)| Missing { from, to, after: Micros(40), before: Micros(90) });
        // Nothing else is known about the ids from the first one.
        let mut ids = Continuity::start(20, Micros(200));
        ids.observe(22, Micros(220));
        ids.precede(30, Micros(300), &missing);
        assert!(ids.has(4) && !ids.has(5) && ids.has(7) && !ids.has(9) && !ids.has(19) && ids.has(20) && !ids.has(21));
        assert_eq!((ids.last(), ids.gaps().len()), (22, 3));
        // The ids between what was known and what was seen.
        let mut ids = Continuity::start(20, Micros(200));
        ids.precede(12, Micros(120), &missing[..1]);
        assert!(!ids.has(6) && ids.has(12) && !ids.has(13) && !ids.has(19) && ids.has(20));
        ids.precede(3, Micros(30), &[]);
        assert!(ids.has(4), "it was there already");
    }

    #[test]
    fn an_id_before_the_first_one_is_new_once() {
        let mut ids = Continuity::start(10, Micros(100));
        let gap = gap_of(ids.observe(7, Micros(70))).unwrap();
        assert_eq!((gap.whole.from, gap.whole.to), (8, 9));
        assert_eq!(ids.observe(7, Micros(70)), Seen::Duplicate);
        assert_eq!(ids.observe(10, Micros(100)), Seen::Duplicate);
        assert_eq!(ids.last(), 10);
    }

    #[test]
    fn a_gap_that_is_given_up_holds_nothing_and_is_still_missing() {
        let minute = Timeframe::M1.micros();
        let mut ids = Continuity::start(1, Micros(0));
        ids.observe(2, Micros(minute));
        ids.observe(4, Micros(minute + 10));
        assert_eq!(ids.give_up(minute), []);
        ids.observe(5, Micros(3 * minute));
        let [gap] = &ids.give_up(minute)[..] else { panic!("one gap") };
        assert_eq!(gap.state, GapState::GivenUp);
        assert_eq!(ids.give_up(minute), []);
        assert_eq!(ids.watermark(), Micros(3 * minute));
        assert!(!ids.is_complete(window(0)), "the first window");
        assert!(!ids.is_complete(window(minute)) && ids.is_complete(window(2 * minute)));
        assert_eq!(gap_of(ids.observe(3, Micros(minute + 5))).unwrap().state, GapState::Healed);
        assert!(ids.is_complete(window(minute)));
    }

    #[test]
    fn a_gap_is_forgotten_when_it_was_given_up_and_is_old() {
        let mut ids = Continuity::start(1, Micros(0));
        ids.observe(3, Micros(10));
        ids.observe(4, Micros(1_000));
        ids.forget(100);
        assert!(!ids.has(2), "candles wait for it");
        ids.give_up(50);
        ids.forget(1_000);
        assert!(!ids.has(2), "it may still come");
        ids.forget(100);
        assert!(ids.gaps().is_empty() && ids.observe(2, Micros(5)) == Seen::Duplicate);
    }
}
