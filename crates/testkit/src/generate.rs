//! Values of every shape that the types allow, from a seed: states, states that follow on states, events.
//!
//! [`Generator::evolve`] makes the changes that decisions can make and no others: rows keep their order, new ones come
//! last, `last_step` never falls, a used recovery code stays used. Texts hold what breaks careless SQL and JSON (quotes,
//! backslashes, line breaks, characters beyond the Basic Multilingual Plane) but not U+0000, which the contract refuses.

mod event;
mod state;

use crate::SeededRandom;
use countersign_domain::digest::{Digest, KeyId};
use countersign_domain::policy::FirstFactorMethod;
use countersign_domain::time::Timestamp;
use countersign_domain::user::{ClientClaims, FirstFactor};

/// The microsecond before the year 10000, the last that RFC 3339 can write.
const LAST_MICRO: u64 = 253_402_300_799_999_999;

/// Draws values from a seed.
#[derive(Debug)]
pub struct Generator {
    random: SeededRandom,
}

impl Generator {
    /// A generator whose values follow from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { random: SeededRandom::new(seed) }
    }

    /// The randomness behind it, for ids.
    pub const fn random(&self) -> &SeededRandom {
        &self.random
    }

    /// True once in `times` draws, on average.
    pub(crate) fn one_in(&self, times: u64) -> bool {
        self.random.below(times) == 0
    }

    fn maybe<T>(&self, draw: impl FnOnce(&Self) -> T) -> Option<T> {
        if self.one_in(3) { None } else { Some(draw(self)) }
    }

    /// At most `most` of them, often none.
    pub(crate) fn some<T>(&self, most: u64, draw: impl Fn(&Self) -> T) -> Vec<T> {
        let count = if self.one_in(3) { 0 } else { self.random.below(most + 1) };
        (0..count).map(|_| draw(self)).collect()
    }

    pub(crate) fn pick<T: Copy>(&self, of: &[T]) -> T {
        let index = self.random.below(of.len() as u64);
        of[usize::try_from(index).expect("an index of a list")]
    }

    /// Any 32-bit number; the ends of the range often.
    fn number(&self) -> u32 {
        match self.random.below(6) {
            0 => 0,
            1 => u32::MAX,
            _ => u32::try_from(self.random.below(1 << 20)).expect("20 bits"),
        }
    }

    /// A number that fits a signed 64-bit column; the ends of the range often.
    fn long(&self) -> u64 {
        match self.random.below(6) {
            0 => 0,
            1 => i64::MAX.unsigned_abs(),
            _ => self.random.below(1 << 40),
        }
    }

    /// Any time from 1970 to 9999, to the microsecond.
    pub(crate) fn time(&self) -> Timestamp {
        let micros = self.random.below(LAST_MICRO + 1);
        Timestamp::from_unix_micros(i64::try_from(micros).expect("below the year 10000"))
    }

    /// At most `most` characters, often none.
    fn text(&self, most: u64) -> String {
        const CHARACTERS: [char; 18] = [
            'a', 'Z', '0', ' ', '\'', '"', '\\', '\n', '\t', '%', '_', '{', '$', 'é', 'ß', '\u{301}', '漢',
            '🔑',
        ];
        self.some(most, |draw| draw.pick(&CHARACTERS)).into_iter().collect()
    }

    fn digest(&self) -> Digest {
        Digest { key: KeyId(self.number()), value: self.random.bytes() }
    }

    /// The caller's word about a device.
    pub fn client_claims(&self) -> ClientClaims {
        ClientClaims {
            ip_address: self.text(45),
            user_agent: self.text(120),
            application: self.text(64),
            language_code: self.text(35),
        }
    }

    fn first_factor(&self) -> FirstFactor {
        const METHODS: [FirstFactorMethod; 4] = [
            FirstFactorMethod::Password,
            FirstFactorMethod::Federated,
            FirstFactorMethod::EmailLink,
            FirstFactorMethod::Passkey,
        ];
        FirstFactor {
            method: self.pick(&METHODS),
            verify_time: self.time(),
            identity_provider: self.text(40),
            amr: self.some(10, |draw| draw.text(32)),
        }
    }
}
