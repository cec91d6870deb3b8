//! What the owner hears of each product's story: one mail for each change that owes a notice, in the order of the changes,
//! as the event log says them.

use super::calls::{disable_member, reset};
use super::phone::Phone;
use super::verdicts::{allowed, refused};
use crate::harness::mail::{Directory, Mail, MailServer, section};
use crate::harness::node::Data;
use crate::harness::{Node, Store, User, events, on_both_stores};
use countersign_api::v1;
use std::collections::HashSet;
use std::sync::Arc;
use tonic::transport::Channel;
use v1::{Assurance, TeamRole};

const PRESETS: [&str; 5] = [
    "self-service-code",
    "self-service-password",
    "mandatory-managed",
    "admin-permissions",
    "password-and-code",
];
/// What users read in the subject; the titles stand here.
const TEXTS: &str = include_str!("../../../../notify/texts/en.toml");
/// The events whose change owes its owner a notice. Of several in one change the first counts.
const OWING: [&str; 18] = [
    "TWO_FACTOR_ENABLED",
    "TWO_FACTOR_DISABLED",
    "AUTHENTICATOR_ADDED",
    "AUTHENTICATOR_REMOVED",
    "AUTHENTICATOR_DISABLED",
    "RECOVERY_CODES_GENERATED",
    "RECOVERY_CODE_USED",
    "USER_LOCKED",
    "USER_UNLOCKED",
    "CLIENT_REMEMBERED",
    "CLIENTS_REVOKED",
    "CLIENT_TOKEN_REUSED",
    "RESET_REQUESTED",
    "MEMBER_RESET",
    "MEMBER_DISABLED",
    "TICKET_ISSUED",
    "CONTACT_CHANGED",
    "FIRST_FACTOR_CHANGED",
];

fn old_address(preset: &str) -> String {
    format!("tess@{preset}.example")
}

fn new_address(preset: &str) -> String {
    format!("tess.new@{preset}.example")
}

/// Tess switches on, is locked by wrong codes, uses a recovery code, loses the second factor as this product has it,
/// and gets another address and another password.
async fn live(channel: &Channel, preset: &str) -> User {
    let directory = Directory::new(channel.clone());
    let [tess, mia] = ["tess", "mia"].map(|id| User::new(channel.clone(), preset, id));
    tess.put_with_address(&directory, &old_address(preset), TeamRole::Member).await;
    mia.put_with_address(&directory, "", TeamRole::Manager).await;
    let enrolled = Phone::set_up(&tess, tess.to_begin()).await.unwrap();
    for number in 0..3 {
        refused(tess.login_with(&enrolled.phone.wrong(number)).await);
    }
    let codes = enrolled.recovery_codes();
    allowed(tess.login_with(&codes[0]).await, Assurance::Recovered);
    match preset {
        "self-service-password" => drop(tess.disable(tess.actor(), None).await.unwrap()),
        "mandatory-managed" => drop(reset(channel, tess.to_reset(mia.actor())).await.unwrap()),
        "admin-permissions" => {
            Phone::set_up(&mia, mia.to_begin()).await.unwrap();
            let entitled = mia.permitted(&["users.view", "users.disable-two-factor"]);
            disable_member(channel, &tess, entitled).await.unwrap();
        }
        _ => drop(tess.disable(tess.actor(), Some(&codes[1])).await.unwrap()),
    }
    tess.put_with_address(&directory, &new_address(preset), TeamRole::Member).await;
    tess.change_password(&directory).await;
    tess
}

/// The mails that this user's events owe: recipient and subject, in order; those of one change are sorted.
async fn owed(channel: &Channel, user: &User) -> Vec<(String, String)> {
    let log = events::of_user(channel, &user.tenant, &user.id).await;
    let mut mails = Vec::new();
    let mut address = old_address(&user.tenant);
    for change in log.chunk_by(|one, next| one.event_time == next.event_time) {
        let names = change.iter().map(|event| event.r#type().as_str_name());
        let mut names = names.map(|name| name.trim_start_matches("SECURITY_EVENT_TYPE_"));
        let Some(name) = names.find(|name| OWING.contains(name)) else { continue };
        let text = TEXTS.split_once(&format!("[events.{name}]\ntitle = \"")).expect("a text").1;
        let subject = format!("Countersign demo: {}", text.split('"').next().expect("a title"));
        if name == "CONTACT_CHANGED" {
            let new = new_address(&user.tenant);
            mails.push((new.clone(), subject.clone()));
            mails.push((std::mem::replace(&mut address, new), subject));
            let last = mails.len() - 2;
            mails[last..].sort();
        } else {
            mails.push((address.clone(), subject));
        }
    }
    mails
}

/// What arrived for this preset's user, in order and each id once; the two mails of the changed address are sorted.
fn told(mails: &[Mail], preset: &str) -> Vec<(String, String)> {
    let domain = format!("@{preset}.example");
    let own = mails.iter().filter(|mail| mail.to.iter().any(|to| to.ends_with(&domain)));
    let mut seen = HashSet::new();
    let own = own.filter(|mail| seen.insert(&mail.id));
    let mut told: Vec<_> = own
        .map(|mail| {
            assert_eq!(mail.to.len(), 1, "{mail:?}");
            (mail.to[0].clone(), mail.subject.clone())
        })
        .collect();
    told.chunk_by_mut(|one, next| one.1 == next.1).for_each(<[_]>::sort);
    told
}

/// B50, B51, R18, R57: each change that owes a notice is told once, to the address of its time, in order; a changed address
/// is told at the old one too. The last change of each user proves that nothing else comes before it.
async fn every_change_is_told_once_and_in_order(store: Store) {
    let server = MailServer::start(&[]).await;
    let data = Arc::new(Data::fresh(store).await);
    let node = Node::start_telling(data, &section(server.port, "none", "")).await;
    let channel = node.channel().await;
    for preset in PRESETS {
        let user = live(&channel, preset).await;
        let owed = owed(&channel, &user).await;
        assert!(owed.len() >= 7, "{preset}: {owed:?}");
        let last = owed.last().expect("not empty");
        let mails = server.until(|mails| told(mails, preset).last() == Some(last)).await;
        assert_eq!(told(&mails, preset), owed, "{preset}");
        assert!(mails.iter().all(|mail| mail.automatic == "auto-generated"));
        assert!(
            mails.iter().all(|mail| mail.plain.contains("Change your password")
                || mail.plain.contains("change your password"))
        );
    }
}

/// B49, B50: whoever replaces an authenticator, with no moment of off in between, gets one mail, which says that it was
/// replaced: none of an addition, none of a removal. The changes before and after prove that nothing stands between.
async fn a_replacement_is_told_as_one_change(store: Store) {
    let server = MailServer::start(&[]).await;
    let data = Arc::new(Data::fresh(store).await);
    let node = Node::start_telling(data, &section(server.port, "none", "")).await;
    let channel = node.channel().await;
    let directory = Directory::new(channel.clone());
    for preset in ["self-service-password", "mandatory-managed"] {
        let tess = User::new(channel.clone(), preset, "tess");
        tess.put_with_address(&directory, &old_address(preset), TeamRole::Member).await;
        let old = Phone::set_up(&tess, tess.to_begin()).await.unwrap();
        let replaces_authenticator_id = old.id();
        let replacing = v1::BeginTotpEnrollmentRequest { replaces_authenticator_id, ..tess.to_begin() };
        Phone::set_up(&tess, replacing).await.unwrap();
        tess.change_password(&directory).await;

        let titles = [
            "Two-factor authentication was switched on",
            "A second factor was replaced",
            "Your password was changed",
        ];
        let expected = titles.map(|title| (old_address(preset), format!("Countersign demo: {title}")));
        let mails = server.until(|mails| told(mails, preset).last() == expected.last()).await;
        assert_eq!(told(&mails, preset), expected);
        let mail =
            mails.iter().find(|mail| mail.to == [old_address(preset)] && mail.subject == expected[1].1);
        let text = &mail.unwrap().plain;
        for part in ["took the place of one of yours", "authenticator app", "you, or somebody acting as you"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}

on_both_stores!(every_change_is_told_once_and_in_order, a_replacement_is_told_as_one_change);
