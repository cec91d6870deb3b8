//! The seeds of the fuzz targets: what they say that they are, and the same as those in `crates/fuzz/seeds`.
//! Run with `UPDATE_SEEDS=1` (`cargo xtask fuzz --seeds`) to write them anew.

#![expect(
    clippy::expect_used,
    reason = "the folders are part of this repository; a test may stop where they are not there"
)]

use countersign_fuzz_targets::requests::conversation::{Conversation, METHODS};
use countersign_fuzz_targets::{Seed, TARGETS, Target};
use prost_reflect::MethodDescriptor;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A longer input is not made by a run (`-max_len` in `xtask/src/fuzz.rs`).
const MAX_LEN: usize = 8192;

fn folder(target: &Target) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target.name)
}

/// The files in a folder, by name; none where there is no folder.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeMap::new() };
    entries
        .map(|entry| {
            let entry = entry.expect("a file of the folder");
            let name = entry.file_name().into_string().expect("a name in UTF-8");
            (name, std::fs::read(entry.path()).expect("a file that can be read"))
        })
        .collect()
}

/// The seeds of a target, by name.
fn made(target: &Target) -> BTreeMap<String, Vec<u8>> {
    let seeds = (target.seeds)();
    let count = seeds.len();
    let made: BTreeMap<_, _> = seeds.into_iter().map(|Seed { name, bytes, .. }| (name, bytes)).collect();
    assert_eq!(made.len(), count, "two seeds of {} have one name", target.name);
    made
}

/// Puts exactly these files into the folder.
fn write(folder: &Path, made: &BTreeMap<String, Vec<u8>>) {
    std::fs::create_dir_all(folder).expect("a folder to write to");
    for name in files(folder).keys().filter(|name| !made.contains_key(*name)) {
        std::fs::remove_file(folder.join(name)).expect("a file to remove");
    }
    for (name, bytes) in made {
        std::fs::write(folder.join(name), bytes).expect("a file to write");
    }
}

/// R48: seeds do not rot: the good ones are taken for what they are, the near misses are not, and in each what must hold
/// holds.
#[test]
fn seeds_are_what_their_names_say() {
    let mut wrong = Vec::new();
    for target in TARGETS {
        for seed in (target.seeds)() {
            let taken = (target.run)(&seed.bytes);
            if taken != seed.taken_for {
                wrong.push(format!("{}/{}: {taken:?}, not {:?}", target.name, seed.name, seed.taken_for));
            }
            if seed.bytes.len() > MAX_LEN {
                wrong.push(format!("{}/{}: longer than a run makes them", target.name, seed.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The committed seeds are those that the code makes, byte for byte, and no others.
#[test]
fn committed_seeds_are_those_of_the_code() {
    let mut stale = Vec::new();
    for target in TARGETS {
        let (folder, made) = (folder(&target), made(&target));
        if std::env::var_os("UPDATE_SEEDS").is_some() {
            write(&folder, &made);
        }
        let committed = files(&folder);
        let names: BTreeSet<_> = made.keys().chain(committed.keys()).collect();
        let differ = names.into_iter().filter(|name| made.get(*name) != committed.get(*name));
        stale.extend(differ.map(|name| format!("{}/{name}", target.name)));
    }
    assert!(stale.is_empty(), "`cargo xtask fuzz --seeds` writes them anew: {}", stale.join(", "));
}

/// Every method of the contract is called in some conversation, so that a new one is not forgotten.
#[test]
fn every_method_has_a_conversation() {
    let requests = TARGETS.iter().find(|target| target.name == "requests").expect("a target");
    let conversations = (requests.seeds)().into_iter().map(|seed| Conversation::read(&seed.bytes));
    let called: BTreeSet<_> =
        conversations.flat_map(|it| it.calls).map(|call| call.method().name().to_owned()).collect();
    let missing: Vec<_> =
        METHODS.iter().map(MethodDescriptor::name).filter(|name| !called.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

/// What libFuzzer is given is what is listed here.
#[test]
fn every_target_has_its_program() {
    let manifest = std::fs::read_to_string(folder(&TARGETS[0]).join("../../Cargo.toml")).expect("a manifest");
    let manifest: toml::Table = manifest.parse().expect("TOML");
    let programs = manifest["bin"].as_array().expect("programs").iter().map(|bin| bin["name"].as_str());
    let programs: Vec<_> = programs.collect();
    assert_eq!(programs, TARGETS.map(|target| Some(target.name)));
}
