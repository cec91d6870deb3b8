//! Page tokens: where a page ended, bound to the list that it belongs to by a keyed digest (AIP-158).
//!
//! A token holds no secret, but nobody else can make one, and it opens nothing for other arguments.

use crate::failure::Failure;
use crate::signed::Signed;
use countersign_api::v1::ErrorReason;
use countersign_domain::digest::DigestKeys;

/// The longest token in characters; longer ones are not looked at.
const MAX_LEN: usize = 512;

/// One list: the method with all arguments that decide what is in it.
pub(crate) struct List<'a> {
    pub(crate) keys: &'a DigestKeys,
    pub(crate) arguments: &'a [&'a [u8]],
}

impl List<'_> {
    /// The token of a page that ended at `position`.
    pub(crate) fn token(&self, position: &[u8]) -> String {
        self.signed().write(position)
    }

    /// Where the page before ended, as `read` makes it out; `None` for the first page.
    pub(crate) fn after<T>(
        &self,
        token: &str,
        read: impl FnOnce(&[u8]) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        let position = self.position(token)?;
        position.map(|position| read(&position).ok_or_else(page_token_invalid)).transpose()
    }

    /// Leaves of these rows as many as a page has, and gives the token of the next page where there are more. One row more
    /// than the page has is enough to ask for; `position` says where a row stands in the list.
    pub(crate) fn cut<R>(
        &self,
        rows: &mut Vec<R>,
        size: usize,
        position: impl FnOnce(&R) -> Vec<u8>,
    ) -> String {
        let more = rows.len() > size;
        rows.truncate(size);
        let end = rows.last().filter(|_| more);
        end.map(|end| self.token(&position(end))).unwrap_or_default()
    }

    /// Where the page before ended, as the token has it; `None` for the first page.
    pub(crate) fn position(&self, token: &str) -> Result<Option<Vec<u8>>, Failure> {
        if token.is_empty() {
            return Ok(None);
        }
        self.signed().read(token).map(Some).ok_or_else(page_token_invalid)
    }

    const fn signed(&self) -> Signed<'_> {
        Signed { keys: self.keys, before: &[b"page"], behind: self.arguments, max_len: MAX_LEN }
    }
}

/// A failure that stands for a broken page token.
fn page_token_invalid() -> Failure {
    Failure::new(ErrorReason::PageTokenInvalid, "the page token belongs to no such list")
}

#[cfg(test)]
mod tests {
    use super::*;
    use countersign_domain::digest::KeyId;
    use countersign_domain::secret::SecretBytes;

    fn keys() -> DigestKeys {
        DigestKeys::new([(KeyId(1), SecretBytes::new(vec![7; 32]))].into()).unwrap()
    }

    /// R47, AIP-158: a token opens its own list at its own place, and nothing else.
    #[test]
    fn tokens_are_bound_to_their_list() {
        let keys = keys();
        let list = List { keys: &keys, arguments: &[b"/List", b"tenant", b"ann"] };
        let token = list.token(b"here");
        assert_eq!(list.position(&token).unwrap(), Some(b"here".to_vec()));
        assert_eq!(list.position("").unwrap(), None);
        let other = List { keys: &keys, arguments: &[b"/List", b"tenant", b"bob"] };
        assert!(other.position(&token).is_err());
        let shifted = List { keys: &keys, arguments: &[b"/List", b"tenantann", b""] };
        assert!(shifted.position(&token).is_err());
        for bad in ["x", "!!!!", &token[1..], &"A".repeat(600)] {
            assert!(list.position(bad).is_err(), "{bad}");
        }
    }

    /// AIP-158: a page ends where it is full, and has a successor only where there is more; a position that its list cannot
    /// read is no position.
    #[test]
    fn a_page_has_a_successor_only_where_there_is_more() {
        let keys = keys();
        let list = List { keys: &keys, arguments: &[b"/List"] };
        let read = |position: &[u8]| position.first().copied().filter(|row| *row != 0);
        for (rows, shown, next) in [(0, 0, None), (2, 2, None), (3, 2, Some(2)), (5, 2, Some(2))] {
            let mut rows: Vec<u8> = (1..=rows).collect();
            let token = list.cut(&mut rows, 2, |row| vec![*row]);
            assert_eq!((rows.len(), list.after(&token, read).unwrap()), (shown, next));
        }
        assert!(list.after(&list.token(&[0]), read).is_err());
    }
}
