//! What is wrong with a setting of a channel: told by name, so that the configuration can name its key.

/// A setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{problem}")]
pub struct SettingProblem {
    /// The setting, as the field of its settings is called.
    pub setting: &'static str,
    /// What is wrong, and the fix after a semicolon. Never the value.
    pub problem: String,
}

impl SettingProblem {
    /// This is wrong with that setting.
    pub fn new(setting: &'static str, problem: impl Into<String>) -> Self {
        Self { setting, problem: problem.into() }
    }
}
