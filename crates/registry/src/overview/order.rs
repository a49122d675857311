//! The orders of lists, and the places in them at which pages begin.

use std::{
    cmp::Ordering,
    fmt,
    str::FromStr,
    time::{Duration, SystemTime},
};

use super::version;

/// The order of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// By name.
    #[default]
    Name,
    /// By name, from the last one.
    NameDescending,
    /// By the time of the last push, the oldest first.
    Pushed,
    /// By the time of the last push, the newest first.
    PushedDescending,
    /// By version, the oldest first: `1.9` comes before `1.10`, `1.10-rc.1` before `1.10`, and names that are none before all versions.
    Version,
    /// By version, the newest first, and then the names that are none.
    VersionDescending,
}

/// A place in a list: that of its entry with this name, and in an order of times with this time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Nanoseconds since 1970; `None` in an order of names.
    pub(super) time: Option<i128>,
    /// Name of the entry.
    pub(super) name: Box<str>,
}

/// A text that is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("it is no place in a list of this order; begin at the first page")]
pub struct PlaceError;

impl Order {
    /// All orders.
    pub const ALL: [Self; 6] = [
        Self::Name,
        Self::NameDescending,
        Self::Pushed,
        Self::PushedDescending,
        Self::Version,
        Self::VersionDescending,
    ];

    /// Its name in requests.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::NameDescending => "-name",
            Self::Pushed => "pushed",
            Self::PushedDescending => "-pushed",
            Self::Version => "version",
            Self::VersionDescending => "-version",
        }
    }

    /// Reads the place of a page in a list of this order.
    ///
    /// # Errors
    ///
    /// When the text is none, or one of another order.
    pub fn place(self, text: &str) -> Result<Place, PlaceError> {
        let place: Place = text.parse()?;
        match place.time.is_some() == self.is_by_time() {
            true => Ok(place),
            false => Err(PlaceError),
        }
    }

    pub(super) fn is_by_time(self) -> bool {
        matches!(self, Self::Pushed | Self::PushedDescending)
    }

    /// The place of an entry in a list of this order.
    pub(super) fn place_of(self, name: &str, time: SystemTime) -> Place {
        Place {
            time: self.is_by_time().then(|| nanoseconds(time)),
            name: name.into(),
        }
    }

    pub(super) fn compare(self, one: &Place, other: &Place) -> Ordering {
        let by_name = || (one.time, &one.name).cmp(&(other.time, &other.name));
        match self {
            Self::Name | Self::Pushed => by_name(),
            Self::NameDescending | Self::PushedDescending => by_name().reverse(),
            Self::Version => version::compare(&one.name, &other.name),
            Self::VersionDescending => version::compare(&one.name, &other.name).reverse(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.time {
            Some(time) => write!(f, "{time}:{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        // No name of a repository or a tag has a colon.
        let (time, name) = match text.split_once(':') {
            Some((time, name)) => (Some(time.parse().map_err(|_| PlaceError)?), name),
            None => (None, text),
        };
        match name.is_empty() {
            true => Err(PlaceError),
            false => Ok(Self {
                time,
                name: name.into(),
            }),
        }
    }
}

/// Nanoseconds since 1970.
fn nanoseconds(time: SystemTime) -> i128 {
    let signed = |duration: Duration| i128::try_from(duration.as_nanos()).unwrap_or(i128::MAX);
    match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => signed(since),
        Err(error) => -signed(error.duration()),
    }
}

/// The entries of a page, and the place after which the next one begins.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) entries: Vec<T>,
    /// `None` on the last page. What becomes of the entries later, such as a tag that vanishes, ends no list.
    pub(super) next: Option<Place>,
}

impl<T> Page<T> {
    /// The page of the first `limit` of `entries`, in their order.
    pub(super) fn of(mut entries: Vec<T>, limit: usize, place: impl Fn(&T) -> Place) -> Self {
        let more = entries.len() > limit;
        entries.truncate(limit);
        Self {
            next: entries.last().filter(|_| more).map(place),
            entries,
        }
    }
}

/// The first entries of a list after a place, gathered from all of its entries in any order, of which no more are kept than a page has.
#[derive(Debug)]
pub(super) struct First<T> {
    order: Order,
    after: Option<Place>,
    limit: usize,
    entries: Vec<(Place, T)>,
    /// The last place of a page that is full: what comes behind it is not kept.
    last: Option<Place>,
}

impl<T> First<T> {
    pub(super) fn new(order: Order, after: Option<&Place>, limit: usize) -> Self {
        Self {
            order,
            after: after.cloned(),
            limit,
            entries: Vec::new(),
            last: None,
        }
    }

    pub(super) fn add(&mut self, place: Place, entry: T) {
        let (after, last) = (self.after.as_ref(), self.last.as_ref());
        if after.is_some_and(|after| self.order.compare(&place, after).is_le())
            || last.is_some_and(|last| self.order.compare(&place, last).is_gt())
        {
            return;
        }
        self.entries.push((place, entry));
        if self.entries.len() > 2 * self.limit + 1000 {
            self.cut();
        }
    }

    /// Leaves the first entries, in any order. One more than a page has shows that there is another one.
    fn cut(&mut self) {
        if self.entries.len() <= self.limit {
            return;
        }
        let order = self.order;
        let (_, (last, _), _) = self
            .entries
            .select_nth_unstable_by(self.limit, |(one, _), (other, _)| order.compare(one, other));
        self.last = Some(last.clone());
        self.entries.truncate(self.limit + 1);
    }

    pub(super) fn page(mut self) -> Page<T> {
        self.cut();
        let order = self.order;
        self.entries
            .sort_unstable_by(|(one, _), (other, _)| order.compare(one, other));
        let Page { entries, next } = Page::of(self.entries, self.limit, |(place, _)| place.clone());
        Page {
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(second)
    }

    #[test]
    fn a_place_is_read_as_it_is_written_and_in_its_own_order_alone() {
        let by_name = Order::Name.place_of("team/app", at(1));
        assert_eq!(by_name.to_string(), "team/app");
        let by_time = Order::PushedDescending.place_of("1.0", at(1));
        assert_eq!(by_time.to_string(), "1000000000:1.0");
        assert_eq!(Order::Pushed.place("1000000000:1.0"), Ok(by_time));
        assert_eq!(Order::NameDescending.place("team/app"), Ok(by_name));
        for (order, text) in [
            (Order::Name, "1:a"),
            (Order::Pushed, "a"),
            (Order::Pushed, "x:a"),
            (Order::Name, ""),
            (Order::Pushed, "1:"),
        ] {
            assert_eq!(order.place(text), Err(PlaceError), "{text}");
        }
    }

    #[test]
    fn pages_of_every_order_give_each_entry_once() {
        // More than are kept at a time.
        let all: Vec<(String, SystemTime)> = (0..5000_u64)
            .map(|number| number * 1237 % 5000)
            .map(|number| (format!("1.{number:04}"), at(number * 7 % 10)))
            .collect();
        for order in Order::ALL {
            let (mut given, mut after) = (Vec::new(), None);
            loop {
                let mut first = First::new(order, after.as_ref(), 700);
                for (name, time) in &all {
                    first.add(order.place_of(name, *time), (name.clone(), *time));
                }
                let page = first.page();
                given.extend(page.entries);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let mut expected = all.clone();
            expected.sort_by_key(|(name, time)| match order.is_by_time() {
                true => (Some(*time), name.clone()),
                false => (None, name.clone()),
            });
            let is_descending = order.as_str().starts_with('-');
            if is_descending {
                expected.reverse();
            }
            assert_eq!(given, expected, "{order:?}");
        }
    }
}
