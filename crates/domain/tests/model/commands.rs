//! Random commands. They name things by how long ago they were made, so that old, used and dead ones are tried too.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_oneof};

/// What the caller says of the first factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// A password just now.
    Fresh,
    /// A password that is just young enough.
    Oldest,
    /// A password that is a second too old.
    Stale,
    /// A federated login just now, whose provider asked for a second factor itself.
    Federated,
    /// Nothing.
    Missing,
}

/// What somebody types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Code {
    /// What the app shows that took in the last key but `back`, `ahead` steps from now.
    App { back: usize, ahead: i64 },
    /// The last recovery code but `back`.
    Paper { back: usize },
    /// One of a few fixed guesses, so that some are typed again.
    Guess(u8),
    /// A recovery code out of the air.
    PaperGuess,
    /// A code of the wrong number of digits.
    OtherDigits,
}

/// By what right somebody enrolls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum By {
    /// The user's own session.
    Session(First),
    /// The last ticket but `back`.
    Ticket { back: usize },
    /// Somebody else's session.
    Stranger,
}

/// What an operator does to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    Reset,
    Disable,
    Unlock,
    IssueTicket,
}

/// What somebody asks for, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct About {
    pub(crate) step_up: bool,
    /// From another application than most.
    pub(crate) shop: bool,
    /// One of [`PLACES`].
    pub(crate) place: usize,
    /// One of [`AGENTS`].
    pub(crate) agent: usize,
}

/// Addresses, each with the number of its network: one IPv4 address written twice, two of one IPv6 network, one of the next,
/// and none.
pub(crate) const PLACES: [(&str, u8); 6] = [
    ("192.0.2.1", 0),
    ("::ffff:192.0.2.1", 0),
    ("2001:db8:0:1::1", 1),
    ("2001:db8:0:1:ffff::2", 1),
    ("2001:db8:0:2::1", 2),
    ("", 3),
];

/// User agents.
pub(crate) const AGENTS: [&str; 3] = ["Browser", "Script", "Telephone"];

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Command {
    /// Seconds pass.
    Pass(u32),
    Login {
        first: First,
        code: Option<Code>,
        remember: bool,
        token: Option<usize>,
        about: About,
    },
    Answer {
        back: usize,
        code: Code,
        remember: bool,
    },
    Begin {
        by: By,
        replaces: Option<usize>,
        code: Option<Code>,
    },
    Confirm {
        back: usize,
        by: By,
        code: Code,
        existing: Option<Code>,
        name: Option<usize>,
    },
    Rename {
        which: usize,
        name: usize,
    },
    Remove {
        which: usize,
        first: First,
        code: Option<Code>,
    },
    Disable {
        first: First,
        code: Option<Code>,
    },
    Generate {
        first: First,
        code: Option<Code>,
    },
    Revoke {
        which: Option<usize>,
    },
    Care(Care),
    RequestReset,
    FirstFactorChanged {
        ago: u32,
    },
    Directory {
        disabled: bool,
        staff: bool,
    },
    Erase,
}

/// Names that are few enough to collide, some of them only after case folding.
pub(crate) const NAMES: [&str; 4] = ["Phone", "PHONE", "Tablet", "authenticator app"];

fn first() -> impl Strategy<Value = First> {
    prop_oneof![
        12 => Just(First::Fresh),
        1 => Just(First::Oldest),
        1 => Just(First::Stale),
        1 => Just(First::Federated),
        1 => Just(First::Missing),
    ]
}

/// How long ago: mostly the last one.
fn back() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0_usize), 2 => Just(1), 1 => 2..6_usize]
}

fn code() -> impl Strategy<Value = Code> {
    let ahead = prop_oneof![8 => Just(0_i64), 2 => -1..=1_i64, 1 => -3..=3_i64];
    prop_oneof![
        12 => (back(), ahead).prop_map(|(back, ahead)| Code::App { back, ahead }),
        3 => (0..14_usize).prop_map(|back| Code::Paper { back }),
        5 => (0..4_u8).prop_map(Code::Guess),
        1 => Just(Code::PaperGuess),
        1 => Just(Code::OtherDigits),
    ]
}

fn by() -> impl Strategy<Value = By> {
    prop_oneof![
        12 => first().prop_map(By::Session),
        6 => back().prop_map(|back| By::Ticket { back }),
        1 => Just(By::Stranger),
    ]
}

fn pass() -> impl Strategy<Value = Command> {
    let spans = prop_oneof![
        8 => Just(30_u32),
        1 => 1..30_u32,
        1 => 59..62_u32,
        2 => Just(120_u32),
        1 => 299..302_u32,
        1 => 599..602_u32,
        2 => Just(3_600_u32),
        1 => Just(86_400_u32),
        1 => Just(8 * 86_400_u32),
    ];
    spans.prop_map(Command::Pass)
}

fn about() -> impl Strategy<Value = About> {
    let one_in_five = || prop_oneof![4 => Just(false), 1 => Just(true)];
    (one_in_five(), one_in_five(), 0..PLACES.len(), 0..AGENTS.len())
        .prop_map(|(step_up, shop, place, agent)| About { step_up, shop, place, agent })
}

fn login() -> impl Strategy<Value = Command> {
    (first(), option::weighted(0.7, code()), any::<bool>(), option::of(back()), about()).prop_map(
        |(first, code, remember, token, about)| Command::Login { first, code, remember, token, about },
    )
}

fn begin() -> impl Strategy<Value = Command> {
    (by(), option::weighted(0.3, 0..4_usize), option::weighted(0.6, code()))
        .prop_map(|(by, replaces, code)| Command::Begin { by, replaces, code })
}

fn confirm() -> impl Strategy<Value = Command> {
    (back(), by(), code(), option::weighted(0.6, code()), option::weighted(0.3, 0..NAMES.len()))
        .prop_map(|(back, by, code, existing, name)| Command::Confirm { back, by, code, existing, name })
}

fn command() -> impl Strategy<Value = Command> {
    let proofs = || (first(), option::weighted(0.8, code()));
    let care =
        prop_oneof![Just(Care::Reset), Just(Care::Disable), Just(Care::Unlock), Just(Care::IssueTicket),];
    prop_oneof![
        10 => pass(),
        12 => login(),
        6 => (back(), code(), any::<bool>())
            .prop_map(|(back, code, remember)| Command::Answer { back, code, remember }),
        6 => begin(),
        8 => confirm(),
        1 => (0..4_usize, 0..NAMES.len()).prop_map(|(which, name)| Command::Rename { which, name }),
        2 => (0..4_usize, proofs())
            .prop_map(|(which, (first, code))| Command::Remove { which, first, code }),
        1 => proofs().prop_map(|(first, code)| Command::Disable { first, code }),
        1 => proofs().prop_map(|(first, code)| Command::Generate { first, code }),
        1 => option::of(0..4_usize).prop_map(|which| Command::Revoke { which }),
        1 => care.prop_map(Command::Care),
        1 => prop_oneof![
            8 => Just(Command::RequestReset),
            4 => (0..1_200_u32).prop_map(|ago| Command::FirstFactorChanged { ago }),
            8 => (prop_oneof![5 => Just(false), 1 => Just(true)], any::<bool>())
                .prop_map(|(disabled, staff)| Command::Directory { disabled, staff }),
            1 => Just(Command::Erase),
        ],
    ]
}

/// The shortest way to an active second factor: without it most commands have nothing to work on.
fn enrolled() -> Vec<Command> {
    let by = By::Session(First::Fresh);
    let code = Code::App { back: 0, ahead: 0 };
    vec![
        Command::Begin { by: by.clone(), replaces: None, code: None },
        Command::Confirm { back: 0, by, code, existing: None, name: None },
        Command::Pass(120),
    ]
}

/// A storm of guesses with the waits that let most be evaluated: the only way to the hard cap.
fn storm() -> impl Strategy<Value = Vec<Command>> {
    let guess = |guess| Command::Login {
        first: First::Fresh,
        code: Some(Code::Guess(guess)),
        remember: false,
        token: None,
        about: About::default(),
    };
    vec(0..4_u8, 0..12).prop_map(move |guesses| {
        guesses.into_iter().flat_map(|number| [guess(number), Command::Pass(3_600)]).collect()
    })
}

/// More questions than are kept, from a few places: now all over the world, now mostly from one.
fn crowd() -> impl Strategy<Value = Vec<Command>> {
    let ask = |about| Command::Login {
        first: First::Fresh,
        code: None,
        remember: false,
        token: None,
        about: About { step_up: false, ..about },
    };
    let near = (0..2_usize, prop_oneof![3 => Just(0_usize), 1 => Just(1)]).prop_map(|(place, agent)| About {
        place,
        agent,
        ..About::default()
    });
    let asked = prop_oneof![vec(about(), 0..16), vec(prop_oneof![2 => near, 1 => about()], 0..16)];
    asked.prop_map(move |asked| asked.into_iter().map(ask).collect())
}

/// Commands that belong together, so that long ways are gone often enough: a code or authority is mostly the fitting
/// one, but need not be.
fn episode() -> impl Strategy<Value = Vec<Command>> {
    let by = || prop_oneof![2 => Just(By::Ticket { back: 0 }), 1 => Just(By::Session(First::Fresh))];
    let right = || Code::App { back: 0, ahead: 0 };
    let plain = |first, code, remember, token| Command::Login {
        first,
        code,
        remember,
        token,
        about: About::default(),
    };
    let stopped = (first(), by(), by(), code()).prop_map(move |(first, begin, confirm, existing)| {
        vec![
            plain(first, None, false, None),
            Command::Begin { by: begin, replaces: None, code: Some(existing.clone()) },
            Command::Confirm { back: 0, by: confirm, code: right(), existing: Some(existing), name: None },
            Command::Pass(120),
        ]
    });
    let replaced =
        (0..3_usize, code(), option::of(0..NAMES.len())).prop_map(move |(which, existing, name)| {
            let by = By::Session(First::Fresh);
            vec![
                Command::Begin { by: by.clone(), replaces: Some(which), code: Some(existing.clone()) },
                Command::Confirm { back: 0, by, code: right(), existing: Some(existing), name },
                Command::Pass(120),
            ]
        });
    let remembered = (pass(), back(), pass(), back()).prop_map(move |(early, first, late, second)| {
        vec![
            Command::Pass(120),
            plain(First::Fresh, Some(right()), true, None),
            early,
            plain(First::Fresh, None, false, Some(first)),
            late,
            plain(First::Fresh, Some(Code::Guess(0)), false, Some(second)),
        ]
    });
    let answered = (first(), code(), pass(), code()).prop_map(move |(first, wrong, pass, code)| {
        vec![
            plain(first, None, false, None),
            Command::Answer { back: 0, code: wrong, remember: false },
            pass,
            Command::Answer { back: 0, code, remember: true },
        ]
    });
    prop_oneof![
        20 => command().prop_map(|command| vec![command]),
        2 => stopped,
        2 => replaced,
        2 => remembered,
        3 => answered,
        1 => storm(),
        1 => crowd(),
    ]
}

/// Histories of up to forty episodes; most begin with an enrollment.
pub(crate) fn histories() -> impl Strategy<Value = Vec<Command>> {
    let beginning = prop_oneof![1 => Just(Vec::new()), 4 => Just(enrolled())];
    (beginning, vec(episode(), 0..40)).prop_map(|(mut all, episodes)| {
        all.extend(episodes.into_iter().flatten());
        all
    })
}
