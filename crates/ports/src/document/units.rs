//! Times and spans as whole numbers. The unit stands in the name of each field: `_us` for times, `_ms` for spans.

/// A point in time as microseconds since the Unix epoch; for `#[serde(with = "micros")]`.
pub(super) mod micros {
    use countersign_domain::time::Timestamp;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(in super::super) fn serialize<S: Serializer>(time: &Timestamp, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_i64(time.unix_micros())
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Timestamp, D::Error> {
        i64::deserialize(from).map(Timestamp::from_unix_micros)
    }
}

/// The same, or `null`.
pub(super) mod optional_micros {
    use countersign_domain::time::Timestamp;
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::{Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference to the field")]
    pub(in super::super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Timestamp::unix_micros).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        Ok(Option::<i64>::deserialize(from)?.map(Timestamp::from_unix_micros))
    }
}

/// A span as whole milliseconds, rounded down; for `#[serde(with = "millis")]`.
pub(super) mod millis {
    use serde::de::{Deserialize, Deserializer};
    use serde::ser::Serializer;
    use std::time::Duration;

    pub(in super::super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        // Every span of a policy is bounded by days; what does not fit 64 bits is as good as for ever.
        to.serialize_u64(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        u64::deserialize(from).map(Duration::from_millis)
    }
}
