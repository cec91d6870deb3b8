//! Makes cargo look at the migrations: the macro that embeds them is not run again for a file that is new.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
