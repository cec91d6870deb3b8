//! `cargo xtask dev`: the service for development, built and started.

use anyhow::Result;

use crate::process;

/// What `cargo xtask dev` takes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Further arguments for `countersign serve --dev`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    further: Vec<String>,
}

/// Builds and runs `countersign serve --dev` until it ends.
pub(crate) fn run(args: &Args) -> Result<()> {
    let mut cargo = process::cargo();
    cargo.args(["run", "--quiet", "--package", "countersign-server", "--bin", "countersign", "--"]);
    process::run(cargo.args(["serve", "--dev"]).args(&args.further))
}
