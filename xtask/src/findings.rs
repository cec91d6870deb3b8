//! What a gate finds, and how it is told.

use anyhow::{Result, bail};

/// What is wrong, one line each; empty is good.
pub(crate) type Findings = Vec<String>;

/// Prints what a gate found, when it is run alone.
pub(crate) fn report(findings: &[String]) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("{} found", findings.len());
    }
    Ok(())
}
