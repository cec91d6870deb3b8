//! Figures of several rounds: their median and how far they spread; and numbers as figures.

/// What several rounds gave for one thing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) least: f64,
    pub(super) most: f64,
}

impl Spread {
    /// Of any number of rounds; none if there were none.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            *values.get(middle)?
        } else {
            f64::midpoint(*values.get(middle.checked_sub(1)?)?, *values.get(middle)?)
        };
        Some(Self { median, least: *values.first()?, most: *values.last()? })
    }
}

/// The smallest value that so many of a thousand did not exceed. Sorts what it is given.
pub(super) fn within(values: &mut [u64], thousandths: usize) -> u64 {
    values.sort_unstable();
    let rank = (values.len() * thousandths).div_ceil(1_000).max(1);
    values.get(rank - 1).copied().unwrap_or_default()
}

/// Microseconds as milliseconds.
#[expect(clippy::cast_precision_loss, reason = "times of calls are far below 2^52 microseconds")]
pub(super) fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

/// A number of things, or of bytes, to be divided.
#[expect(clippy::cast_precision_loss, reason = "counts and sizes here are far below 2^52")]
pub(super) fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(values: &[f64], expected: Option<(f64, f64, f64)>) {
        let expected = expected.map(|(median, least, most)| Spread { median, least, most });
        assert_eq!(Spread::of(values.iter().copied()), expected);
    }

    #[test]
    fn the_median_is_in_the_middle_and_the_spread_around_it() {
        check(&[3.0, 1.0, 2.0], Some((2.0, 1.0, 3.0)));
        check(&[4.0, 1.0, 2.0, 3.0], Some((2.5, 1.0, 4.0)));
        check(&[], None);
    }

    #[test]
    fn a_round_that_measured_nothing_does_not_count() {
        check(&[f64::NAN, 2.0, f64::INFINITY], Some((2.0, 2.0, 2.0)));
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut values: Vec<u64> = (1..=200).rev().collect();
        assert_eq!(
            [within(&mut values, 500), within(&mut values, 990), within(&mut values, 999)],
            [100, 198, 200]
        );
        assert_eq!(within(&mut [], 500), 0);
    }
}
