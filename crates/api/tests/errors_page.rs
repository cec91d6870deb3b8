//! Writes `docs/errors.md` from the comments of `ErrorReason` and compares it with the committed page.
//! Run with `UPDATE_DOCS=1` to write the page anew.

#![expect(
    clippy::expect_used,
    reason = "the descriptors and the page are part of this repository; a test may stop where they are not there"
)]

use std::fmt::Write;
use std::path::Path;

use countersign_api::descriptor_pool;
use prost_reflect::{EnumDescriptor, EnumValueDescriptor};

/// Where the page lies, seen from this crate.
const PAGE: &str = "../../docs/errors.md";

/// One reason as its comment documents it.
struct Reason {
    name: String,
    meaning: String,
    status: String,
    metadata: String,
    action: String,
}

fn reasons_enum() -> EnumDescriptor {
    descriptor_pool().get_enum_by_name("countersign.v1.ErrorReason").expect("the contract has reasons")
}

/// The comment before a value; source locations are found by the path of the thing they speak of.
fn comment(value: &EnumValueDescriptor) -> String {
    let file = value.parent_file();
    let info = file.file_descriptor_proto().source_code_info.as_ref().expect("comments are kept");
    let location = info.location.iter().find(|location| location.path == value.path());
    location.and_then(|location| location.leading_comments.clone()).unwrap_or_default()
}

fn parse(value: &EnumValueDescriptor) -> Reason {
    let name = value.name().trim_start_matches("ERROR_REASON_").to_owned();
    let mut parts = [String::new(), String::new(), String::new(), String::new()];
    let mut current = 0;
    for line in comment(value).lines().map(str::trim).filter(|line| !line.is_empty()) {
        let labelled = ["Status:", "Metadata:", "Do:"]
            .iter()
            .zip(1..)
            .find_map(|(label, part)| line.strip_prefix(label).map(|rest| (part, rest.trim())));
        let (part, text) = labelled.unwrap_or((current, line));
        current = part;
        if !parts[part].is_empty() {
            parts[part].push(' ');
        }
        parts[part].push_str(text);
    }
    let [meaning, status, metadata, action] = parts;
    Reason { name, meaning, status, metadata, action }
}

fn documented_reasons() -> Vec<Reason> {
    reasons_enum().values().filter(|value| value.number() != 0).map(|value| parse(&value)).collect()
}

/// First letter large, as it opens a sentence of its own.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}", characters.as_str())
}

fn render(reasons: &[Reason]) -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Written from the comments in `proto/countersign/v1/error.proto`; change those, then run\n\
         `UPDATE_DOCS=1 cargo test -p countersign-api --test errors_page`.\n\n\
         Every error carries `google.rpc.ErrorInfo` with `domain` `countersign`, a `reason` of this page and its\n\
         metadata. Decide by the reason, never by the message; treat a reason you do not know like its status.\n\
         A verdict on a login (`refused`, `locked_out`, …) is no error but data.\n\n\
         | status | reasons |\n|---|---|\n",
    );
    let mut statuses: Vec<&str> = Vec::new();
    for reason in reasons {
        if !statuses.contains(&reason.status.as_str()) {
            statuses.push(&reason.status);
        }
    }
    for status in statuses {
        let names: Vec<_> = reasons
            .iter()
            .filter(|reason| reason.status == status)
            .map(|reason| format!("[{0}](#{1})", reason.name, reason.name.to_lowercase()))
            .collect();
        writeln!(page, "| `{status}` | {} |", names.join(", ")).expect("a string takes all");
    }
    for Reason { name, meaning, status, metadata, action } in reasons {
        write!(
            page,
            "\n## {name}\n\n{meaning}\n\n- Status: `{status}`\n- Metadata: {metadata}\n- What to do: {}\n",
            sentence(action)
        )
        .expect("a string takes all");
    }
    page
}

/// R53: an error says what to do, never what went wrong inside; so each reason is documented whole.
#[test]
fn every_reason_names_status_metadata_and_what_to_do() {
    for reason in documented_reasons() {
        let name = &reason.name;
        assert!(reason.meaning.ends_with('.'), "{name} does not say what happened");
        assert!(is_grpc_status(&reason.status), "{name}: `Status: {}` is no status", reason.status);
        assert!(!reason.metadata.is_empty(), "{name} has no line `Metadata:`");
        assert!(!reason.action.is_empty(), "{name} has no line `Do:`");
    }
}

/// R8: UNAUTHENTICATED speaks of the calling workload alone, never of a user's code.
#[test]
fn only_the_callers_credentials_are_unauthenticated() {
    for reason in documented_reasons().iter().filter(|reason| reason.status == "UNAUTHENTICATED") {
        assert!(reason.name.starts_with("CALLER_CREDENTIALS_"), "{}", reason.name);
    }
}

fn is_grpc_status(status: &str) -> bool {
    [
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "INTERNAL",
        "UNAVAILABLE",
        "UNIMPLEMENTED",
        "UNAUTHENTICATED",
    ]
    .contains(&status)
}

/// R53: the page that operators and callers read is the contract's, word for word.
#[test]
fn the_page_of_errors_is_the_committed_one() {
    let page = render(&documented_reasons());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/errors.md can be written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == page,
        "docs/errors.md is not what error.proto says; run \
         `UPDATE_DOCS=1 cargo test -p countersign-api --test errors_page` and commit it"
    );
}
