//! Turns `proto/` into Rust: messages, clients, servers and the encoded descriptor set, all in `OUT_DIR`.
//! The redacting `Debug` implementations are written in `redact`. No `protoc` is needed.

mod redact;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use protox::Compiler;

/// The package whose contract this crate carries.
const PACKAGE: &str = "countersign.v1";

#[expect(clippy::print_stdout, reason = "a build script speaks to cargo on standard output")]
fn main() -> Result<(), Box<dyn Error>> {
    let proto_root = Path::new(&std::env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let out_dir = PathBuf::from(std::env::var("OUT_DIR")?);
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed={}", proto_root.join("countersign").display());

    let mut compiler = Compiler::new([&proto_root])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files(contract_files(&proto_root.join("countersign/v1"))?)?;

    // The encoded set is kept as it is: a decoded `FileDescriptorSet` has lost the custom options.
    fs::write(out_dir.join("countersign.v1.bin"), compiler.encode_file_descriptor_set())?;

    let redacted = redact::messages_to_redact(&compiler.descriptor_pool(), PACKAGE)?;
    fs::write(out_dir.join("countersign.v1.redact.rs"), redact::debug_impls(&redacted)?)?;

    tonic_prost_build::configure()
        .codec_path("crate::MessageCodec")
        .skip_debug(redacted.iter().map(|message| format!(".{}", message.full_name())))
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// The files of the contract, sorted, so that the descriptor set is the same on every machine.
fn contract_files(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
