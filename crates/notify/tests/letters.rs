//! What people read: every type of event in every language, and nothing that others wrote can change the letter's shape.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and this is what tests share")]

use countersign_domain::actor::Principal;
use countersign_domain::directory::CHANGE_TIME;
use countersign_domain::event::EventType;
use countersign_domain::ids::{AuthenticatorId, UserId};
use countersign_domain::policy::AuthenticatorType;
use countersign_notify::{Rendered, Texts};
use countersign_ports::{Letter, NoticeId, OutboxEntry};
use countersign_testkit::{SeededRandom, fixtures};
use proptest::prelude::*;
use std::collections::BTreeSet;
use uuid::Uuid;

/// A letter about an event of this type, with everything that one can say.
fn letter(kind: EventType, language: &str) -> Letter {
    let random = SeededRandom::new(1);
    let mut event = fixtures::event_record(&random, &fixtures::user("acme", "ann"), kind);
    event.event =
        event.event.clone().about(AuthenticatorId::at(event.time, [7; 10]), AuthenticatorType::Totp);
    "portal".clone_into(&mut event.client.application);
    "203.0.113.7".clone_into(&mut event.client.ip_address);
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
        .clone_into(&mut event.client.user_agent);
    if is_of_manager(kind) {
        event.actor = Principal::User(UserId::parse("max").unwrap()).into();
        event.event = event.event.clone().with("justification", "lost the phone, seen in person");
    }
    if kind == EventType::RecoveryCodeUsed {
        event.event = event.event.clone().with("remaining", "9");
    }
    let mut notice = fixtures::notice_record(&random, &event);
    notice.id = NoticeId(Uuid::from_u128(1));
    language.clone_into(&mut notice.language_code);
    Letter {
        entry: OutboxEntry { notice, event, attempts: 0 },
        service: "Example".to_owned(),
        support_contact: "security@example.com, +1 555 0100".to_owned(),
        advice_url: "https://example.com/account-help?a=1&b=2".to_owned(),
    }
}

fn is_of_manager(kind: EventType) -> bool {
    [
        EventType::MemberReset,
        EventType::MemberDisabled,
        EventType::UserUnlocked,
        EventType::TicketIssued,
        EventType::PolicyUpdated,
    ]
    .contains(&kind)
}

fn render(letter: &Letter) -> Rendered {
    Texts::load().unwrap().render(letter).unwrap()
}

/// B50: every type of event has a title and a text of its own in every language; none is left out, doubled or empty.
#[test]
fn every_event_has_its_text_in_every_language() {
    let texts = Texts::load().unwrap();
    let tags: Vec<_> = texts.tags().collect();
    assert!(tags.contains(&"en") && tags.contains(&"pt-BR"), "{tags:?}");
    for tag in tags {
        let missing: Vec<_> = EventType::ALL.iter().filter(|kind| !texts.covers(tag, **kind)).collect();
        assert!(missing.is_empty(), "texts/{tag}.toml has no text for {missing:?}");
        let subjects: BTreeSet<_> =
            EventType::ALL.iter().map(|kind| texts.render(&letter(*kind, tag)).unwrap().subject).collect();
        assert_eq!(subjects.len(), EventType::ALL.len(), "{tag}: two events have one title");
    }
}

/// B50: a first factor that changed before it was reported changed then: the letter says when that was.
#[test]
fn a_reported_change_tells_its_own_time() {
    let mut letter = letter(EventType::FirstFactorChanged, "en");
    let told = render(&letter).plain;
    letter.entry.event.event = letter.entry.event.event.clone().with(CHANGE_TIME, "1768377600");
    let reported = render(&letter).plain;
    assert!(told.contains("15 January 2026") && !told.contains("14 January 2026"), "{told}");
    assert!(reported.contains("14 January 2026") && !reported.contains("15 January 2026"), "{reported}");
}

/// B50, R70: what was replaced is gone, and a copied key was not disabled by guesses: such events have words of their own,
/// in every language.
#[test]
fn a_detail_may_change_the_words() {
    let texts = Texts::load().unwrap();
    for (kind, detail, value) in [
        (EventType::AuthenticatorAdded, "replaces", "019daa3f-5e2e-7c1f-a8c8-1d5b90a31a6a"),
        (EventType::AuthenticatorDisabled, "finding", "sign_count_regressed"),
    ] {
        for tag in texts.tags() {
            let mut letter = letter(kind, tag);
            let usual = texts.render(&letter).unwrap();
            letter.entry.event.event = letter.entry.event.event.clone().with(detail, value);
            let told = texts.render(&letter).unwrap();
            assert_ne!(usual.subject, told.subject, "{tag} {detail}");
            assert!(!told.plain.contains('{'), "{}", told.plain);
        }
    }
}

/// B34: who replaced an app's entry is reminded to delete the old one, in every language.
#[test]
fn a_replacement_reminds_of_the_old_entry() {
    let texts = Texts::load().unwrap();
    for (tag, reminder) in [("en", "delete its entry"), ("pt-BR", "excluir a entrada")] {
        let mut letter = letter(EventType::AuthenticatorAdded, tag);
        assert!(!texts.render(&letter).unwrap().plain.replace('\n', " ").contains(reminder), "{tag}");
        letter.entry.event.event = letter.entry.event.event.clone().with("replaces", "an id");
        let told = texts.render(&letter).unwrap().plain.replace('\n', " ");
        assert!(told.contains(reminder), "{told}");
    }
}

/// R64, R58: after a restore the letter says what was voided and why, in every language.
#[test]
fn a_restore_is_told_with_what_it_voided() {
    let texts = Texts::load().unwrap();
    for tag in texts.tags() {
        let restored = |details: &[(&'static str, &str)]| {
            let mut letter = letter(EventType::ClientsRevoked, tag);
            letter.entry.event.actor = Principal::Job("post-restore".to_owned()).into();
            letter.entry.event.client = countersign_domain::user::ClientClaims::default();
            letter.entry.event.event.authenticator = None;
            for (name, value) in details {
                letter.entry.event.event = letter.entry.event.event.clone().with(name, *value);
            }
            let rendered = texts.render(&letter).unwrap();
            format!("Subject: {}\n\n{}\n", rendered.subject, rendered.plain)
        };
        let cause = ("cause", "database-restored");
        let both = restored(&[cause]) + &restored(&[cause, ("recovery_codes", "voided")]);
        insta::assert_snapshot!(format!("{tag}_restored"), both);
    }
}

/// B50: what changed, when, from where, by whom, what to do if it was not them, and the support contact: as reviewed.
#[test]
fn letters_read_as_reviewed() {
    let texts = Texts::load().unwrap();
    for tag in texts.tags() {
        let all = EventType::ALL.iter().map(|kind| {
            let rendered = texts.render(&letter(*kind, tag)).unwrap();
            format!("=== {}\nSubject: {}\n\n{}\n", kind.name(), rendered.subject, rendered.plain)
        });
        insta::assert_snapshot!(tag, all.collect::<String>());
        let rendered = texts.render(&letter(EventType::MemberReset, tag)).unwrap();
        insta::assert_snapshot!(format!("{tag}_html"), rendered.html);
    }
}

/// Where nothing is known but the event, the letter says what happened, when and by whom, and is still one.
#[test]
fn a_letter_of_what_little_is_known() {
    let mut bare = letter(EventType::TwoFactorDisabled, "");
    bare.entry.event.client = countersign_domain::user::ClientClaims::default();
    bare.entry.event.event.authenticator = None;
    bare.entry.event.actor = Principal::Job("directory-sync".to_owned()).into();
    (bare.service, bare.support_contact, bare.advice_url) = Default::default();
    let rendered = render(&bare);
    insta::assert_snapshot!("bare", format!("Subject: {}\n\n{}", rendered.subject, rendered.plain));
}

/// The same tag, else the same language, else English.
#[test]
fn the_language_falls_back() {
    for (wanted, expected) in [
        ("en", "en"),
        ("en-GB", "en"),
        ("pt-BR", "pt-BR"),
        ("PT-br", "pt-BR"),
        ("pt_BR", "pt-BR"),
        ("pt", "pt-BR"),
        ("pt-PT", "pt-BR"),
        ("fi", "en"),
        ("p", "en"),
        ("", "en"),
        ("<script>", "en"),
    ] {
        assert_eq!(render(&letter(EventType::UserLocked, wanted)).language, expected, "{wanted}");
    }
}

/// R53: what a thief says of their device, where they signed in or why becomes no link in the letter that warns of them, and does
/// not fill it; the account keeps its name, which may be an e-mail address.
#[test]
fn no_words_of_a_stranger_become_a_link() {
    let mut letter = letter(EventType::MemberReset, "en");
    letter.entry.notice.user = fixtures::user("acme", "ann@example.org").user;
    letter.entry.event.client.user_agent = format!("www.evil.example {}", "a".repeat(500));
    "evil.example/x".clone_into(&mut letter.entry.event.client.application);
    letter.entry.event.event.details = vec![("justification".into(), "ask mailto:a@evil.example".to_owned())];
    let told = render(&letter);
    for text in [&told.plain, &told.html] {
        assert!(!text.contains("evil.example") && !text.contains("a@evil"), "{text}");
        assert!(text.contains("www[.]evil[.]example aaa") && !text.contains(&"a".repeat(128)), "{text}");
        assert!(text.contains("ask mailto:a[@]evil[.]example") && text.contains("ann@example.org"), "{text}");
    }
}

/// Names, labels, user agents and reasons of an attacker.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r\n".to_owned()),
        Just("\n\nSubject: free money".to_owned()),
        Just("\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{85}\0\u{1b}[31m".to_owned()),
        Just("<script>alert(1)</script><img src=x onerror=y>".to_owned()),
        Just("\" onmouseover=\"x' --> ]]> &lt; <!--".to_owned()),
        Just("https://evil.example/".to_owned()),
        Just("{id}{service}{title}{{ parts.title }}{% for %}".to_owned()),
        any::<String>(),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// B50, R53: whatever stands in every field, a letter has as many lines and as many tags as with plain words there;
    /// nothing invisible or turning the text, no other link than the policy's, and one line of subject.
    #[test]
    fn nothing_foreign_changes_the_shape_of_a_letter(
        service in hostile(), support in hostile(), advice in hostile(), application in hostile(),
        address in hostile(), agent in hostile(), reason in hostile(), actor in hostile(), kind in 0..EventType::ALL.len(),
    ) {
        let mut letter = letter(EventType::ALL[kind], "en");
        letter.entry.event.actor = Principal::Operator(format!("x{actor}")).into();
        letter.entry.event.event.details = vec![("reason".into(), format!("x{reason}"))];
        letter.entry.event.client.application = format!("x{application}");
        letter.entry.event.client.ip_address = format!("x{address}");
        letter.entry.event.client.user_agent = format!("x{agent}");
        letter.service = format!("x{service}");
        letter.support_contact = format!("x{support}");
        letter.advice_url = advice;
        let mut plain = letter.clone();
        plain.entry.event.actor = Principal::Operator("x".into()).into();
        plain.entry.event.event.details = vec![("reason".into(), "x".into())];
        plain.entry.event.client.application = "x".into();
        plain.entry.event.client.ip_address = "x".into();
        plain.entry.event.client.user_agent = "x".into();
        plain.service = "x".into();
        plain.support_contact = "x".into();
        plain.advice_url = String::new();
        let (told, expected) = (render(&letter), render(&plain));

        let odd = |text: &str| text.chars().any(|c| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200b}\u{feff}\u{2028}\u{2029}".contains(c));
        prop_assert!(!odd(&told.subject) && !odd(&told.plain) && !odd(&told.html));
        prop_assert!(!told.subject.contains('\n'));
        let link = usize::from(told.html.contains("<a href="));
        prop_assert!(link == 0 || letter.advice_url.starts_with("https://"));
        prop_assert_eq!(told.plain.lines().count(), expected.plain.lines().count() + link);
        let tags = |html: &str| html.matches('<').count();
        prop_assert_eq!(tags(&told.html), tags(&expected.html) + 4 * link);
        prop_assert!(!told.html.contains("<script") && !told.html.contains("<img"));
    }
}
