//! The pages of a list of a server: they end, whatever the server says.

use anyhow::bail;

/// The most pages of one list; with a thousand rows each, more than any list has.
const MOST: usize = 10_000;

/// Where a list is that is read page by page.
#[derive(Debug, Default)]
pub(super) struct Pages {
    cursor: Option<String>,
    turned: usize,
}

impl Pages {
    /// The cursor of the page to ask for; `None`: the first one.
    pub(super) fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// Goes on to the page at `next`; `false`: that was the last one.
    ///
    /// # Errors
    /// When the list does not end.
    pub(super) fn turn(&mut self, next: Option<String>) -> anyhow::Result<bool> {
        if next.is_none() {
            return Ok(false);
        }
        self.turned += 1;
        if next == self.cursor || self.turned >= MOST {
            bail!(
                "the list of the server does not end: after {} pages it was given up",
                self.turned
            );
        }
        self.cursor = next;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_even_if_the_server_goes_on() {
        let mut pages = Pages::default();
        assert!(pages.turn(Some("a".to_owned())).unwrap() && pages.turn(Some("b".to_owned())).unwrap());
        assert_eq!(pages.cursor(), Some("b"));
        assert!(!pages.turn(None).unwrap());
        assert!(pages.turn(Some("b".to_owned())).is_err(), "the same page again");
        let mut pages = Pages::default();
        let ended = (0..=MOST).find(|page| pages.turn(Some(page.to_string())).is_err());
        assert_eq!(ended, Some(MOST - 1));
    }
}
