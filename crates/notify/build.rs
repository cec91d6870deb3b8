//! Collects the languages: each file `texts/TAG.toml` becomes one, with nothing else to change.

use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=texts");
    let folder = env::current_dir()?.join("texts");
    let mut files: Vec<_> =
        fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    let entries = files.iter().filter_map(|path| {
        let tag = path.file_stem()?.to_str()?;
        Some(format!("    ({tag:?}, include_str!({:?})),\n", path.to_str()?))
    });
    let list = format!("&[\n{}]\n", entries.collect::<String>());
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    fs::write(Path::new(&out).join("languages.rs"), list)
}
