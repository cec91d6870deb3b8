//! Lets cargo notice a new migration: the macro that embeds them is only run again when a source file changes.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
