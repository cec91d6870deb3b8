//! The rules once more, small and in other words: seconds instead of timestamps, lists in the order in which things
//! were handed out instead of ids and tokens. Calls none of the functions that it checks; only what an app shows is
//! computed by the same primitive, which has its own published vectors.

mod enrolling;
mod logging_in;
mod proving;

use crate::commands::{About, First};
use crate::common::Phone;
use countersign_domain::login::Assurance;
use countersign_domain::otp::OtpCode;
use countersign_domain::policy::{
    DelegatedAction, Delegation, FirstEnrollment, Grant, PolicyDocument, RequirementMode,
};
use countersign_domain::recovery_code::RecoveryCode;
use countersign_domain::time::Timestamp;

/// What somebody typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Typed {
    Digits(OtpCode),
    Paper(RecoveryCode),
}

/// What the service says, without what only machines read. Denials are named by their reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Said {
    Allowed { how: Assurance, left: Option<usize>, due: Option<i64>, token: Option<Token>, new_paper: bool },
    Asked,
    MustEnroll { ticket: bool },
    Refused(&'static str),
    LockedOut { retry: Option<i64>, open: bool },
    Confirmed { new_paper: bool, login: bool },
    NewPaper,
    Done,
    Denied(&'static str),
}

/// Something of the user's that a command names: by its number, or something that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Named {
    Own(usize),
    Unknown,
}

/// A remembered client's token: whose, and which of its tokens.
pub(crate) type Token = (usize, u32);

pub(crate) struct Factor {
    pub(crate) app: usize,
    pub(crate) used: u64,
    pub(crate) misses: u32,
    pub(crate) dead: bool,
    pub(crate) name: String,
}

pub(crate) struct Waiting {
    pub(crate) app: usize,
    pub(crate) tries: u32,
    replaces: Option<usize>,
    until: i64,
}

struct Question {
    number: usize,
    until: i64,
    about: About,
}

struct Ticket {
    number: usize,
    until: i64,
    /// When the first factor of the stopped login passed; none where a manager vouched.
    verified: Option<i64>,
}

pub(crate) struct Device {
    pub(crate) number: usize,
    pub(crate) token: u32,
    rotated: i64,
    used: i64,
    until: i64,
    shop: bool,
}

/// What the model takes a user to be.
pub(crate) struct Model {
    rules: PolicyDocument,
    pub(crate) now: i64,
    /// Every key that was ever shown.
    apps: Vec<Phone>,
    pub(crate) factors: Vec<Factor>,
    pub(crate) waiting: Option<Waiting>,
    pub(crate) paper: Option<Vec<(RecoveryCode, bool)>>,
    pub(crate) misses: u32,
    pub(crate) shut_until: i64,
    pub(crate) missed_at: Vec<i64>,
    last_miss: Option<(OtpCode, i64)>,
    questions: Vec<Question>,
    tickets: Vec<Ticket>,
    pub(crate) devices: Vec<Device>,
    pub(crate) grace_from: Option<i64>,
    pub(crate) obliged: bool,
    pub(crate) help_since: Option<i64>,
    /// The last time at which the first factor is said to have changed.
    pub(crate) changed: Option<i64>,
    pub(crate) disabled: bool,
    pub(crate) staff: bool,
    /// Raised whenever everything old must die.
    pub(crate) generation: u64,
    /// How many of each were ever handed out.
    pub(crate) questions_asked: usize,
    pub(crate) tickets_given: usize,
    devices_known: usize,
}

type Answer<T> = Result<T, &'static str>;

/// What became of a code.
enum Fate {
    Good,
    Recovered,
    Bad,
    Shut(Option<i64>),
}

impl Model {
    pub(crate) fn new(rules: PolicyDocument, now: i64) -> Self {
        Self {
            rules,
            now,
            apps: Vec::new(),
            factors: Vec::new(),
            waiting: None,
            paper: None,
            misses: 0,
            shut_until: 0,
            missed_at: Vec::new(),
            last_miss: None,
            questions: Vec::new(),
            tickets: Vec::new(),
            devices: Vec::new(),
            grace_from: None,
            obliged: false,
            help_since: None,
            changed: None,
            disabled: false,
            staff: false,
            generation: 0,
            questions_asked: 0,
            tickets_given: 0,
            devices_known: 0,
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        !self.factors.is_empty()
    }

    /// Numbers of what is open, in the order in which it was handed out.
    pub(crate) fn open(&self) -> (Vec<usize>, Vec<usize>) {
        let questions = self.questions.iter().map(|question| question.number).collect();
        (questions, self.tickets.iter().map(|ticket| ticket.number).collect())
    }

    /// Everything that is over is as if it had never been.
    pub(crate) fn tidy(&mut self) {
        let now = self.now;
        self.waiting.take_if(|waiting| waiting.until <= now);
        self.questions.retain(|question| question.until > now);
        self.tickets.retain(|ticket| ticket.until > now);
        self.devices.retain(|device| device.until > now);
        self.help_since.take_if(|since| *since + 7 * 86_400 <= now);
    }

    fn kill_everything_old(&mut self) {
        self.generation += 1;
        self.waiting = None;
        self.questions.clear();
        self.tickets.clear();
        self.devices.clear();
    }

    /// Off, with nothing left that could be proved. What was missed lately is not forgotten.
    fn wipe(&mut self) {
        self.factors.clear();
        self.paper = None;
        self.streak_is_over();
        self.help_since = None;
        self.kill_everything_old();
    }

    // The requirement.

    fn is_meant(&self) -> bool {
        self.rules.requirement.groups.is_empty() || self.staff
    }

    fn has_begun(&self) -> bool {
        let from = self.rules.requirement.required_from.map_or(0, Timestamp::unix_seconds);
        self.rules.requirement.mode == RequirementMode::Required && self.is_meant() && from <= self.now
    }

    pub(crate) fn is_mandatory(&self) -> bool {
        self.has_begun()
    }

    // What others do.

    fn forgive(&mut self) {
        self.misses = 0;
        self.last_miss = None;
        self.missed_at.clear();
        self.shut_until = 0;
    }

    pub(crate) fn reset(&mut self) -> Answer<Said> {
        self.tidy();
        if !self.is_on() {
            return Err("not on");
        }
        self.wipe();
        self.forgive();
        self.obliged = true;
        Ok(Said::Done)
    }

    pub(crate) fn switch_off_by_others(&mut self) -> Answer<Said> {
        self.tidy();
        if !self.is_on() {
            return Err("not on");
        }
        if self.is_mandatory() {
            return Err("mandatory");
        }
        self.wipe();
        self.forgive();
        Ok(Said::Done)
    }

    pub(crate) fn unlock(&mut self) -> Answer<Said> {
        self.tidy();
        if !self.is_on() {
            return Err("not on");
        }
        if self.shut_until <= self.now && self.factors.iter().all(|factor| !factor.dead) {
            return Ok(Said::Done);
        }
        self.forgive();
        for factor in &mut self.factors {
            factor.dead = false;
            factor.misses = 0;
        }
        Ok(Said::Done)
    }

    pub(crate) fn issue_ticket(&mut self) -> Answer<Said> {
        self.tidy();
        if self.rules.requirement.first_enrollment != FirstEnrollment::ManagerTicket {
            return Err("not allowed");
        }
        if self.is_on() {
            return Err("exists");
        }
        // A manager's other one is void.
        self.tickets.retain(|other| other.verified.is_some());
        self.give_ticket(86_400, None);
        Ok(Said::MustEnroll { ticket: true })
    }

    pub(crate) fn request_reset(&mut self) -> Answer<Said> {
        self.tidy();
        if !self.is_on() {
            return Err("not on");
        }
        let seen_by_managers = |rule: &Delegation| {
            rule.action == DelegatedAction::ResetMember && rule.grant == Grant::TeamManager
        };
        if !self.rules.delegation.iter().any(seen_by_managers) {
            return Err("not allowed");
        }
        self.help_since.get_or_insert(self.now);
        Ok(Said::Done)
    }

    pub(crate) fn first_factor_changed(&mut self, ago: u32) {
        self.tidy();
        self.kill_everything_old();
        let at = self.now - i64::from(ago);
        self.changed = Some(self.changed.map_or(at, |last| last.max(at)));
    }

    pub(crate) fn erase(&mut self) {
        self.wipe();
        self.forgive();
        self.grace_from = None;
        self.changed = None;
        self.obliged = false;
        self.disabled = false;
        self.staff = false;
    }
}

/// By what right, as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Right {
    Session(First),
    Ticket(Option<usize>),
    Stranger,
}
