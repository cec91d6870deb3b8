//! Lists as SQLite takes them: JSON, read by `json_each`.

/// Names as a JSON array.
pub(crate) fn json<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.collect::<serde_json::Value>().to_string()
}
