//! TOTP (RFC 6238): time steps, the window around now, and whether a code fits one of its steps.
//!
//! Nothing here knows which steps were used already: the caller compares the step it gets with the
//! durable last one. Time always comes in as an argument.

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use super::{OtpCode, Period, TotpKey, TotpParameters, hotp};

/// A time step: how many whole periods have passed since 1970-01-01T00:00:00Z (RFC 6238 section 4.2, `T`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Step(u64);

impl Step {
    /// The step with this number, as a store kept it.
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The step that `unix_seconds` lies in. A time before 1970 counts as the first second of it.
    pub fn at(unix_seconds: i64, period: Period) -> Self {
        // A negative number does not convert, so the fallback is the clamp.
        Self(u64::try_from(unix_seconds).unwrap_or(0) / u64::from(period.seconds()))
    }

    /// The number itself, for storing it.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How far a phone's clock may be off: one step either way at most (NIST SP 800-63B, RFC 6238 section 5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    past_steps: u8,
    future_steps: u8,
}

impl Window {
    /// The most steps on either side of now.
    pub const MAX_STEPS: u8 = 1;

    /// A window of that many steps before and after the current one, each 0 or 1.
    pub const fn new(past_steps: u8, future_steps: u8) -> Result<Self, WindowError> {
        if past_steps > Self::MAX_STEPS || future_steps > Self::MAX_STEPS {
            return Err(WindowError);
        }
        Ok(Self { past_steps, future_steps })
    }

    /// How many steps before the current one are accepted.
    pub const fn past_steps(self) -> u8 {
        self.past_steps
    }

    /// How many steps after the current one are accepted.
    pub const fn future_steps(self) -> u8 {
        self.future_steps
    }
}

impl Default for Window {
    /// One step either way.
    fn default() -> Self {
        Self { past_steps: 1, future_steps: 1 }
    }
}

/// A window wider than one step on a side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a window reaches at most {max} step to either side", max = Window::MAX_STEPS)]
pub struct WindowError;

/// The code that an authenticator app shows during `step`.
pub fn generate(key: &TotpKey, parameters: TotpParameters, step: Step) -> OtpCode {
    hotp::code(key, parameters.algorithm, parameters.digits, step.0)
}

/// The **highest** step of the window around `now_unix_seconds` whose code is `code`.
///
/// Two steps of one window can show the same code. Consuming the lower one would leave the code good for
/// a second use, so the highest is the answer. Every step of the window is computed and compared whatever
/// the others gave, in constant time; a code of another length than the key's matches nothing and costs
/// the same.
pub fn match_step(
    key: &TotpKey,
    parameters: TotpParameters,
    window: Window,
    now_unix_seconds: i64,
    code: &OtpCode,
) -> Option<Step> {
    let now = Step::at(now_unix_seconds, parameters.period).0;
    // No overflow: a period of 15 seconds keeps `now` below 2^60. Before step 0 there is nothing.
    let first = now.saturating_sub(u64::from(window.past_steps));
    let last = now + u64::from(window.future_steps);

    let codes = hotp::Codes::of(key, parameters.algorithm, parameters.digits);
    last_that_shows((first..=last).map(|step| (step, step)), code, |step| codes.at(step)).map(Step)
}

/// The last of the candidates whose step shows `code`. `made` is asked for the code of every step, and each is compared in
/// constant time, whatever the others gave: how long it takes says nothing of which one it was (R9).
pub(super) fn last_that_shows<T: Default + ConditionallySelectable>(
    candidates: impl Iterator<Item = (T, u64)>,
    code: &OtpCode,
    mut made: impl FnMut(u64) -> OtpCode,
) -> Option<T> {
    let mut matched = Choice::from(0);
    let mut last = T::default();
    for (candidate, step) in candidates {
        let equal = made(step).ct_eq(code);
        last.conditional_assign(&candidate, equal);
        matched |= equal;
    }
    bool::from(matched).then_some(last)
}

/// How far off a phone's clock may be for its owner to be told by how much, in seconds (ruling 5).
pub const MAX_OFFSET_SECONDS: u32 = 600;
/// The most steps that [`find_offset`] looks to either side: [`MAX_OFFSET_SECONDS`] of the shortest period.
pub const MAX_OFFSET_STEPS: u32 = MAX_OFFSET_SECONDS / Period::MIN_SECONDS;

/// By how many steps the clock that made `code` is off: positive where it is ahead of `now_unix_seconds`.
///
/// For the hint at the confirmation of an enrollment only; it never makes a code acceptable. Of several
/// fitting steps the nearest to now wins, and of two equally near ones the earlier. `max_steps_each_side`
/// is cut to [`MAX_OFFSET_STEPS`]. All candidates are computed and compared, as in [`match_step`].
pub fn find_offset(
    key: &TotpKey,
    parameters: TotpParameters,
    now_unix_seconds: i64,
    code: &OtpCode,
    max_steps_each_side: u32,
) -> Option<i64> {
    let now = Step::at(now_unix_seconds, parameters.period).0;
    let reach = i64::from(max_steps_each_side.min(MAX_OFFSET_STEPS));

    let codes = hotp::Codes::of(key, parameters.algorithm, parameters.digits);
    // From the far ends inwards, the later side first: the last one that fits is the one to keep.
    let offsets = (0..=reach).rev().flat_map(|distance| [distance, -distance]);
    let candidates = offsets.filter_map(|offset| Some((offset, now.checked_add_signed(offset)?)));
    last_that_shows(candidates, code, |step| codes.at(step))
}
