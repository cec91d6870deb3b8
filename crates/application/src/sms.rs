//! Codes by text message: decided and committed like everything else, then delivered.
//!
//! The order is what loses and doubles nothing: the message is durable before it leaves, so its code is never unknown to
//! the service; it leaves under an id of its own before the caller is answered, so an answer means that a gateway took it. A
//! repeat of the request finds the message and, where it is not known to be taken, delivers that very one again, under the
//! same id; what is not known to be counted is counted before.

mod handed;

pub(crate) use handed::Handed;
use handed::Next;

use crate::account::by_authority;
use crate::engine::{Counted, Device, Snapshot, Subject};
use crate::{Answer, AppError, Application, Encode, Meta};
use countersign_domain::enrollment::{self, BeginSms, BegunSms};
use countersign_domain::ids::{CallerId, RequestId, SendId, UserRef};
use countersign_domain::policy::SmsDelivery;
use countersign_domain::secret::SecretString;
use countersign_domain::sms::budget::{self, SendCharge};
use countersign_domain::sms::sending::{self, Means, Message, SendCode};
use countersign_domain::time::Timestamp;
use countersign_ports::{Commit, SmsError, TextMessage};

impl Application {
    /// Sends a code for an open challenge.
    pub async fn send_challenge_code(
        &self,
        meta: Meta,
        command: SendCode,
        encode: Encode<Message>,
    ) -> Result<Answer<Message>, AppError> {
        let user = command.challenge.user.clone();
        let counted = Some(Counted::Challenge(command.clone()));
        let device = Device::OfChallenge(command.challenge.id);
        let subject = Subject { counted, ..Subject::themself(user.clone(), device) };
        let (app, asked) = (self.clone(), Asked::by(&meta));
        let id = asked.as_ref().map(|asked| self.id_of(asked, &user));
        self.in_own_task(async move {
            let means = app.means();
            let answer = app.change(meta, subject, encode, move |states, ctx, source| {
                let means = Means { counts: states.sent, ..means };
                let id = id.unwrap_or_else(|| source.send());
                sending::send_code(states.own, ctx, &command, &means, id)
            });
            let answer = answer.await?;
            match &answer {
                Answer::Fresh(Ok(done), _) => app.deliver(&user, &done.value, Some(done.time)).await?,
                Answer::Fresh(Err(_), _) => {}
                Answer::Repeated(_) => app.deliver_again(&user, asked).await?,
            }
            Ok(answer)
        })
        .await
    }

    /// Begins enrolling a telephone.
    pub async fn begin_sms_enrollment(
        &self,
        meta: Meta,
        user: UserRef,
        command: BeginSms,
        encode: Encode<BegunSms>,
    ) -> Result<Answer<BegunSms>, AppError> {
        let counted = Some(Counted::Number(command.number.clone()));
        let subject = Subject { counted, ..by_authority(&user, &command.authority) };
        let (app, asked) = (self.clone(), Asked::by(&meta));
        let id = asked.as_ref().map(|asked| self.id_of(asked, &user));
        self.in_own_task(async move {
            let means = app.means();
            let answer = app.change(meta, subject, encode, move |states, ctx, source| {
                let means = Means { counts: states.sent, ..means };
                let fresh = source.sms_enrollment(id.unwrap_or_else(|| source.send()));
                enrollment::begin_sms(states.own, ctx, &command, &means, fresh)
            });
            let answer = answer.await?;
            match &answer {
                Answer::Fresh(Ok(done), _) => {
                    app.deliver(&user, &done.value.message, Some(done.time)).await?;
                }
                Answer::Fresh(Err(_), _) => {}
                Answer::Repeated(_) => app.deliver_again(&user, asked).await?,
            }
            Ok(answer)
        })
        .await
    }

    /// Without the counts, which are read with the user.
    fn means(&self) -> Means {
        Means { limits: self.0.deps.send_limits, counts: budget::SendCounts::default() }
    }

    fn id_of(&self, asked: &Asked, user: &UserRef) -> SendId {
        sending::id_of_request(self.digests(), user, &asked.caller, asked.request)
    }

    /// Delivers the message of an earlier request again, as long as its code may still be used; after that there is nothing to
    /// deliver, and where it is known that nobody took the message, nobody is told that one is on its way. It is found by the key that
    /// its row names: while root keys change, nodes disagree on the newest (R52).
    async fn deliver_again(&self, user: &UserRef, asked: Option<Asked>) -> Result<(), AppError> {
        let Some(Asked { caller, request }) = asked else { return Ok(()) };
        let Snapshot { loaded, policy, now } = self.0.snapshot(user).await?;
        let ctx = self.0.context(user, &policy, now);
        match sending::still_good(&loaded.state, &ctx, &caller, request) {
            Some(message) => self.deliver(user, &message, None).await,
            None if self.0.handed.is_not_taken(self.id_of(&Asked { caller, request }, user)) => {
                Err(AppError::MessageVoid)
            }
            None => Ok(()),
        }
    }

    /// Hands the message to the gateway, where it is this service that delivers; `decided` is when it was counted, if that was
    /// just now. What was counted for this try and the gateway did not take is taken out of the counts, of that day and not of
    /// the next: nobody pays for it with a message of theirs.
    async fn deliver(
        &self,
        user: &UserRef,
        message: &Message,
        decided: Option<Timestamp>,
    ) -> Result<(), AppError> {
        if message.delivery == SmsDelivery::Caller {
            return Ok(());
        }
        let Some(gateway) = &self.0.deps.text_messages else { return Err(AppError::DeliveryUnavailable) };
        let Snapshot { policy, now, .. } = self.0.snapshot(user).await?;
        let (sends, limits) = (&self.0.deps.sends, self.0.deps.send_limits);
        let first = decided.is_some();
        let ctx = self.0.context(user, &policy, decided.unwrap_or(now));
        let counters = budget::counters(&ctx, &message.number);
        let counted = match self.0.handed.next(message.id, now, first) {
            Next::HandOver { counted } => counted,
            Next::Taken => return Ok(()),
            Next::GiveUp => return Err(AppError::DeliveryUnavailable),
            Next::TooMany(tell) => {
                if tell {
                    tracing::error!(alarm = true, "too many text messages at once; more are refused");
                }
                if first {
                    sends.give_back(&user.tenant, &counters).await?;
                }
                return Err(AppError::DeliveryUnavailable);
            }
        };
        let handing = self.0.handed.handing_over(message.id);
        if !counted {
            let charge = SendCharge { counters, limits };
            if sends.charge(&user.tenant, &charge).await? == Commit::Conflict {
                return Err(AppError::DeliveryUnavailable);
            }
            self.0.handed.count(message.id, true);
        }
        let outgoing = TextMessage {
            id: message.id,
            tenant: user.tenant.clone(),
            number: message.number.clone(),
            text: text(policy.totp.issuer.as_str(), message),
        };
        let Err(error) = gateway.send(&outgoing).await else {
            handing.taken();
            return Ok(());
        };
        let give_back = (first || !counted) && matches!(error, SmsError::NotTaken(_));
        if give_back {
            self.0.handed.count(message.id, false);
        }
        drop(handing);
        tracing::warn!(tenant_id = %user.tenant, send_id = %message.id, error = chain(&error), "a text message was not delivered");
        if give_back {
            sends.give_back(&user.tenant, &counters).await?;
        }
        Err(AppError::DeliveryUnavailable)
    }
}

/// The request that asks for a message.
struct Asked {
    caller: CallerId,
    request: RequestId,
}

impl Asked {
    /// `None` where the caller gave no id, so that nothing is repeated.
    fn by(meta: &Meta) -> Option<Self> {
        Some(Self { caller: meta.caller.clone(), request: meta.request.as_ref()?.id })
    }
}

/// What the message says. The code is alone in its groups of four, so that telephones offer to fill it in.
fn text(issuer: &str, message: &Message) -> SecretString {
    let code = String::from_utf8_lossy(message.code.as_bytes());
    let (head, tail) = code.split_at_checked(4).unwrap_or((&code, ""));
    SecretString::new(format!("{issuer}: your code is {head} {tail}. Never tell it to anybody."))
}

/// An error with its cause. Adapters' errors carry neither numbers nor texts (R53).
fn chain(error: &SmsError) -> String {
    match error {
        SmsError::NotTaken(cause) | SmsError::Unknown(cause) => format!("{error}: {cause}"),
    }
}
