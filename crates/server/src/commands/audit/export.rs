//! `countersign audit export` and `audit verify --export`: evidence for those who have neither the database nor the
//! service. What an export is made of is `application::audit`'s, how it is judged the domain's.

use super::lines::{EntriesLine, Line, ManifestLine};
use super::{Exported, public_keys, tenants, told};
use crate::adapters::SystemClock;
use crate::cli::ExportArgs;
use crate::commands::opened::Opened;
use crate::commands::{instant, tell};
use crate::evidence::seal_key;
use crate::failure::Failure;
use crate::problem::Problem;
use crate::secret_file;
use countersign_application::audit::{Dumped, Span, dump};
use countersign_domain::audit::{ExportJudge, Finding, Manifest, Proved, Statement, TrustedKeys};
use countersign_domain::digest::KeyId;
use countersign_domain::ids::TenantId;
use countersign_keyring::audit_signature_holds;
use countersign_ports::Clock;
use data_encoding::{BASE64, HEXLOWER};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Write as _};
use std::path::Path;

/// Writes the export.
pub(crate) async fn export(args: &ExportArgs) -> Result<(), Failure> {
    let span = Span {
        from: args.from.as_deref().map(|text| instant("--from", text)).transpose()?,
        to: args.to.as_deref().map(|text| instant("--to", text)).transpose()?,
    };
    let Opened { stores, keyring, .. } = Opened::open(&args.log.store).await?;
    let key = seal_key(&keyring);
    let path = args.out.display();
    let file = secret_file::create_new(&args.out).map_err(Failure::io(format!("making {path}")))?;
    let mut file = BufWriter::new(file);
    let written = |error| Failure::io(format!("writing {path}"))(error);
    for tenant in tenants(stores.audit.as_ref(), args.log.tenant.as_deref()).await? {
        let mut events = 0_u64;
        let write = |piece: countersign_application::audit::Piece<'_>| {
            let line = Line::of(&piece, args.without_claims);
            events += u64::from(matches!(line, Line::Event(_)));
            let text = serde_json::to_string(&line).map_err(|error| Failure::Internal(error.to_string()))?;
            writeln!(file, "{text}").map_err(written)
        };
        match dump(stores.audit.as_ref(), &tenant, &key, span, SystemClock.now(), write).await? {
            Dumped::Nothing => tell(&format!("tenant {tenant}: nothing is sealed yet\n"))?,
            Dumped::All(Manifest { seals: (first, last), .. }) => {
                tell(&format!("tenant {tenant}: seals {first} to {last}, {events} events\n"))?;
            }
            Dumped::Outdated => {
                std::fs::remove_file(&args.out).map_err(Failure::io(format!("removing {path}")))?;
                let happened = "events were dropped by their retention while they were exported";
                return Err(Failure::Unavailable(format!("tenant {tenant}: {happened}: export once more")));
            }
        }
    }
    let file = file.into_inner().map_err(|error| written(error.into_error()))?;
    file.sync_all().map_err(written)?;
    tell(&public_keys(&keyring))
}

/// Keys by their ids.
type Keys = BTreeMap<KeyId, [u8; 32]>;

/// Judges an export with these keys; with none, by those that it names itself.
pub(super) fn verify(
    path: &Path,
    mut keys: Keys,
    only: Option<&TenantId>,
    mut exported: Exported,
) -> Result<(), Failure> {
    let own = keys.is_empty();
    if own {
        keys = named_keys(path)?;
    }
    let known = |id: KeyId| keys.get(&id).copied();
    let mut checked = Checked { keys: &known, only, found: Vec::new(), seen: BTreeSet::new() };
    let mut section: Option<Section<'_>> = None;
    for (number, line) in lines(path)? {
        match line? {
            Line::Export(line) => {
                checked.end(section.take())?;
                section = Some(checked.begin(&line, &mut exported).ok_or_else(|| unread(path, number))?);
            }
            line => {
                let Some(section) = &mut section else { return Err(unread(path, number)) };
                section.take(line).ok_or_else(|| unread(path, number))?;
            }
        }
    }
    checked.end(section)?;
    let missing = only.iter().copied().filter(|tenant| !checked.seen.contains(*tenant));
    let missing = missing.chain(exported.keys()).filter(|tenant| only.is_none_or(|only| only == *tenant));
    let missing: BTreeSet<_> = missing.collect();
    checked.found.extend(missing.iter().map(|tenant| format!("tenant {tenant}: is not in the export")));
    if own {
        for (id, key) in &keys {
            let key = HEXLOWER.encode(key);
            tell(&format!("the export names its own key, compare it with the service's: {}:{key}\n", id.0))?;
        }
    }
    if checked.found.is_empty() { Ok(()) } else { Err(Failure::Found(checked.found)) }
}

/// The export of one tenant, as far as it was read.
struct Section<'a> {
    tenant: TenantId,
    /// Nothing behind the first finding is judged, and nothing of a tenant that was not asked for.
    judge: Option<Result<ExportJudge<'a>, Finding>>,
}

impl Section<'_> {
    /// Judges a line; `None` where it does not read.
    fn take(&mut self, line: Line) -> Option<()> {
        let Some(Ok(judge)) = &mut self.judge else { return Some(()) };
        let judged = match line {
            Line::Export(_) => return None,
            Line::Seal(line) => judge.seal(&line.seal()?),
            Line::Entries(EntriesLine { number, entries }) => {
                judge.entries(number, BASE64.decode(entries.as_bytes()).ok()?)
            }
            Line::Event(line) => judge.event(line.event()?),
        };
        if let Err(finding) = judged {
            self.judge = Some(Err(finding));
        }
        Some(())
    }
}

/// What was found so far.
struct Checked<'a> {
    keys: TrustedKeys<'a>,
    only: Option<&'a TenantId>,
    found: Vec<String>,
    seen: BTreeSet<TenantId>,
}

impl<'a> Checked<'a> {
    /// A section begins; `None` where its line does not read.
    fn begin(&self, line: &ManifestLine, exported: &mut Exported) -> Option<Section<'a>> {
        let manifest = Manifest::parse(&line.statement)?;
        let signature = HEXLOWER.decode(line.signature.as_bytes()).ok()?.try_into().ok()?;
        let tenant = manifest.tenant.clone();
        let wanted = self.only.is_none_or(|only| *only == tenant);
        let judge = wanted.then(|| {
            let earlier = exported.remove(&tenant).unwrap_or_default();
            ExportJudge::begin(manifest, &signature, (self.keys, &audit_signature_holds), earlier)
        });
        Some(Section { tenant, judge })
    }

    /// A section is over.
    fn end(&mut self, section: Option<Section<'_>>) -> Result<(), Failure> {
        let Some(Section { tenant, judge: Some(judge) }) = section else { return Ok(()) };
        match judge.and_then(ExportJudge::finish) {
            Ok(Proved { seals, events, dropped, without_claims }) => tell(&format!(
                "tenant {tenant}: good: {seals} seals, {events} events ({without_claims} without claims), {dropped} dropped by retention\n"
            ))?,
            Err(finding) => self.found.push(told(&finding, self.keys)),
        }
        if !self.seen.insert(tenant.clone()) {
            self.found.push(format!("tenant {tenant}: is in the export twice"));
        }
        Ok(())
    }
}

/// The keys that an export names, each by one id only.
fn named_keys(path: &Path) -> Result<Keys, Failure> {
    let mut keys = Keys::new();
    for (_, line) in lines(path)? {
        let named = match line? {
            Line::Export(line) => Manifest::parse(&line.statement).map(|it| (it.key, it.public_key)),
            Line::Seal(line) => Statement::parse(&line.statement).map(|it| (it.key, it.public_key)),
            Line::Entries(_) | Line::Event(_) => None,
        };
        if let Some((id, key)) = named {
            keys.entry(id).or_insert(key);
        }
    }
    Ok(keys)
}

/// The lines of an export with their numbers.
fn lines(path: &Path) -> Result<impl Iterator<Item = (usize, Result<Line, Failure>)>, Failure> {
    let file = File::open(path).map_err(Failure::io(format!("reading {}", path.display())))?;
    let path = path.to_owned();
    Ok((1..).zip(BufReader::new(file).lines()).map(move |(number, line)| {
        let line = line.map_err(Failure::io(format!("reading {}", path.display())));
        (number, line.and_then(|line| serde_json::from_str(&line).map_err(|_| unread(&path, number))))
    }))
}

/// A line that no export has: somebody wrote to it, or it is another file.
fn unread(path: &Path, number: usize) -> Failure {
    let text = format!("{} has no line of an export in line {number}", path.display());
    Failure::from(Problem::new("--export", format!("{text}; give what `audit export` wrote, unchanged")))
}
