//! `cargo xtask dev`: the service for development, built and started.

use std::os::unix::process::CommandExt as _;

use anyhow::{Context as _, Result};

use crate::process;

/// What `cargo xtask dev` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Further arguments for `countersign serve --dev`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

/// Builds and becomes `countersign serve --dev`: who ends this command ends the service. cargo becomes what it runs, too.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "countersign-server", "--bin", "countersign", "--"]);
    Err(cargo.args(["serve", "--dev"]).args(&args.further).exec()).context("cannot run cargo")
}
