//! `countersign policy`: the policy of a tenant as a file. It is read, compared and changed through the contract, by a caller
//! with scopes, so that rules, events and notices are those of any other change.

mod file;

use super::service::{Service, actor, short};
use super::{instant, json, print, tell};
use crate::cli::{
    ApplyPolicyArgs, DiffPolicyArgs, ExplainArgs, GetPolicyArgs, PolicyCommand, ServiceArgs, TenantArgs,
};
use crate::failure::Failure;
use crate::problem::Problem;
use countersign_api::v1;
use countersign_client::Reason;
use countersign_domain::time::Timestamp;
use file::{Change, PolicyFile};
use std::fmt::Write as _;
use std::path::Path;
use v1::explain_request::Question;

/// How often a change is tried that somebody else's comes before.
const TRIES: u32 = 5;
/// What no preset says: a file that named it would take the tenant's own away.
const THE_TENANTS: (&str, &str) = ("totp", "issuer");

/// Does what is asked.
pub(super) async fn run(command: PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Get(args) => get(args).await,
        PolicyCommand::Diff(args) => diff(args).await,
        PolicyCommand::Apply(args) => apply(args).await,
        PolicyCommand::Explain(args) => explain(args).await,
        PolicyCommand::Revisions(args) => revisions(args).await,
        PolicyCommand::Presets(args) => presets(&args).await,
    }
}

async fn get(args: GetPolicyArgs) -> Result<(), Failure> {
    let service = Service::of(&args.service)?;
    print(&match (args.tenant, args.revision, args.preset) {
        (Some(tenant), None, _) => json::pretty(&in_force(&service, &tenant).await?),
        (Some(tenant), Some(revision), _) => json::pretty(&earlier(&service, &tenant, revision).await?),
        (None, _, preset) => {
            let policy = preset_policy(&service, &preset.unwrap_or_default()).await?;
            json::pretty_without(&policy, THE_TENANTS)
        }
    })
}

async fn diff(args: DiffPolicyArgs) -> Result<(), Failure> {
    let file = read("FILE", &args.file)?;
    let current = in_force(&Service::of(&args.of.service)?, &args.of.tenant).await?;
    let changes = file.changes(&current);
    // The exit code is the result, also for whoever has read enough.
    tell(&lines(&changes))?;
    if changes.is_empty() {
        return Ok(());
    }
    Err(Failure::Found(vec![format!("{} fields differ from {}", changes.len(), args.file.display())]))
}

async fn apply(args: ApplyPolicyArgs) -> Result<(), Failure> {
    let file = read("FILE", &args.file)?;
    let service = Service::of(&args.by.of.service)?;
    let (current, answer) = put(&service, &args, &file).await?;
    let after = answer.policy.unwrap_or_default();
    let changes = file::between(&current, &after);
    tell(&lines(&changes))?;
    if let Some(impact) = answer.impact {
        tell(&told_impact(&impact))?;
    }
    tell(&match (changes.is_empty(), args.dry_run) {
        (true, _) => format!("nothing to change: revision {}\n", current.revision),
        (false, true) => "nothing is changed yet\n".to_owned(),
        (false, false) => format!("revision {}\n", after.revision),
    })
}

/// Changes the policy that was read last, and no other one: what is told of the change is then what happened. The policy as it
/// was, and the answer.
async fn put(
    service: &Service,
    args: &ApplyPolicyArgs,
    file: &PolicyFile,
) -> Result<(v1::Policy, v1::UpdatePolicyResponse), Failure> {
    let own = &file.policy().etag;
    let mut tries = 1..TRIES;
    loop {
        let current = in_force(service, &args.by.of.tenant).await?;
        let etag = if own.is_empty() { &current.etag } else { own };
        let request = v1::UpdatePolicyRequest {
            tenant_id: args.by.of.tenant.clone(),
            policy: Some(v1::Policy { etag: etag.clone(), ..file.policy().clone() }),
            update_mask: Some(prost_types::FieldMask { paths: file.paths() }),
            validate_only: args.dry_run,
            actor: Some(actor(&args.by)),
            ..v1::UpdatePolicyRequest::default()
        };
        let error = match service.try_call(request).await {
            Ok(answer) => return Ok((current, answer)),
            Err(error) => error,
        };
        let is_another = error.reason() == Some(Reason::EtagMismatch);
        if is_another && !own.is_empty() {
            let fix = "get it again, or take `etag` out of the file";
            let file = args.file.display();
            return Err(Failure::Found(vec![format!("{error}; {file} was made from another policy: {fix}")]));
        }
        // Somebody else changed it between the two calls; of a file without an etag that is no matter.
        if !is_another || tries.next().is_none() {
            return Err(error.into());
        }
    }
}

async fn explain(args: ExplainArgs) -> Result<(), Failure> {
    let proposed = args.proposed.as_deref().map(|file| read("--proposed", file)).transpose()?;
    let question = match &args.action {
        None => Question::Login(v1::ExplainLogin::default()),
        Some(name) => Question::Action(action(name)?.into()),
    };
    let at_time = args.at.as_deref().map(|text| instant("--at", text)).transpose()?.map(to_proto);
    let service = Service::of(&args.of.service)?;
    let proposed_policy = match proposed {
        None => None,
        Some(file) => {
            let whole = file.onto(&in_force(&service, &args.of.tenant).await?);
            Some(whole.map_err(|error| Problem::new("--proposed", error))?)
        }
    };
    let request = v1::ExplainRequest {
        tenant_id: args.of.tenant,
        user_id: args.user,
        question: Some(question),
        at_time,
        proposed_policy,
        actor: args.actor.map(|user| v1::Actor {
            principal: Some(v1::actor::Principal::UserId(user)),
            permissions: args.permissions,
            ..v1::Actor::default()
        }),
    };
    print(&told_verdict(&service.call(request).await?))
}

async fn revisions(of: TenantArgs) -> Result<(), Failure> {
    let service = Service::of(&of.service)?;
    let mut request =
        v1::ListPolicyRevisionsRequest { tenant_id: of.tenant, ..v1::ListPolicyRevisionsRequest::default() };
    loop {
        let page = service.call(request.clone()).await?;
        for revision in &page.revisions {
            let made = revision.create_time.map(|time| time.to_string()).unwrap_or_default();
            let fields = revision.changed_fields.join(" ");
            print(format!("{} made {made} by {} {fields}", revision.revision, revision.actor).trim_end())?;
            print("\n")?;
        }
        if page.next_page_token.is_empty() {
            return Ok(());
        }
        request.page_token = page.next_page_token;
    }
}

async fn presets(args: &ServiceArgs) -> Result<(), Failure> {
    for preset in all_presets(&Service::of(args)?).await? {
        print(&format!("{}: {}\n", preset.preset, preset.description))?;
    }
    Ok(())
}

async fn in_force(service: &Service, tenant: &str) -> Result<v1::Policy, Failure> {
    let request = v1::GetPolicyRequest { tenant_id: tenant.to_owned() };
    Ok(service.call(request).await?.policy.unwrap_or_default())
}

async fn earlier(service: &Service, tenant: &str, revision: i32) -> Result<v1::Policy, Failure> {
    let mut request = v1::ListPolicyRevisionsRequest {
        tenant_id: tenant.to_owned(),
        ..v1::ListPolicyRevisionsRequest::default()
    };
    loop {
        let page = service.call(request.clone()).await?;
        if let Some(found) = page.revisions.into_iter().find(|one| one.revision == revision) {
            // It is to be put in force again, and what is in force has another one.
            return Ok(v1::Policy { etag: String::new(), ..found.policy.unwrap_or_default() });
        }
        if page.next_page_token.is_empty() {
            return Err(Failure::Found(vec![format!("{tenant} has no revision {revision}")]));
        }
        request.page_token = page.next_page_token;
    }
}

async fn preset_policy(service: &Service, preset: &str) -> Result<v1::Policy, Failure> {
    let presets = all_presets(service).await?;
    let names: Vec<_> = presets.iter().map(|one| one.preset.clone()).collect();
    presets.into_iter().find(|one| one.preset == preset).and_then(|found| found.policy).ok_or_else(|| {
        Problem::new("--preset", format!("{preset} is none; write one of {}", names.join(", "))).into()
    })
}

async fn all_presets(service: &Service) -> Result<Vec<v1::PolicyPreset>, Failure> {
    let (mut presets, mut request) = (Vec::new(), v1::ListPolicyPresetsRequest::default());
    loop {
        let page = service.call(request.clone()).await?;
        presets.extend(page.presets);
        if page.next_page_token.is_empty() {
            return Ok(presets);
        }
        request.page_token = page.next_page_token;
    }
}

/// Longer than any policy.
const MOST: u64 = 1 << 20;

fn read(key: &str, path: &Path) -> Result<PolicyFile, Problem> {
    let unreadable = |error: String| Problem::new(key, format!("{} cannot be read: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| unreadable(error.to_string()))?.len();
    if length > MOST {
        return Err(Problem::new(key, format!("{} is too long for a policy", path.display())));
    }
    let text = std::fs::read_to_string(path).map_err(|error| unreadable(error.to_string()))?;
    PolicyFile::parse(&text).map_err(|error| Problem::new(key, format!("{}: {error}", path.display())))
}

fn action(name: &str) -> Result<v1::Action, Problem> {
    let known = v1::Action::from_str_name(&format!("ACTION_{name}"));
    known.filter(|action| *action != v1::Action::Unspecified).ok_or_else(|| {
        Problem::new("--action", format!("{name} is no action; write one such as DISABLE or RESET_MEMBER"))
    })
}

/// A time as the contract has it.
pub(super) fn to_proto(time: Timestamp) -> prost_types::Timestamp {
    let micros = time.unix_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    prost_types::Timestamp { seconds: micros.div_euclid(1_000_000), nanos }
}

fn lines(changes: &[Change]) -> String {
    let mut text = String::new();
    for Change { path, before, after } in changes {
        let _ = writeln!(text, "{path}: {before} -> {after}");
    }
    text
}

fn told_impact(impact: &v1::PolicyImpact) -> String {
    let mut text = format!(
        "of {} users {} are stopped at their next login, {} lose their only authenticator\n",
        impact.users_count, impact.stopped_count, impact.lose_only_authenticator_count
    );
    for warning in &impact.warnings {
        let _ = writeln!(text, "warning: {}: {}", warning.policy_field, warning.text);
    }
    text
}

fn told_verdict(answer: &v1::ExplainResponse) -> String {
    let mut text = short(answer.verdict().as_str_name(), "EXPLAINED_VERDICT_").to_owned() + "\n";
    for step in &answer.steps {
        let decides = if step.decided { " [decides]" } else { "" };
        let field = if step.policy_field.is_empty() { "always" } else { &step.policy_field };
        let _ = writeln!(text, "  {field}: {}{decides}", step.finding);
    }
    for proof in answer.required_proofs() {
        let _ = writeln!(text, "needs {}", short(proof.as_str_name(), "PROOF_KIND_"));
    }
    for reason in answer.blocked_reasons() {
        let _ = writeln!(text, "blocked: {}", short(reason.as_str_name(), "ERROR_REASON_"));
    }
    text
}
