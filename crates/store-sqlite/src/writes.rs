//! Each write as its statement. The guard stands in the statement and the changed rows are counted.

mod authenticators;
mod credentials;
pub(crate) mod log;
mod logins;
pub(crate) mod sends;

use crate::seal::Sealer;
use crate::stop::Stop;
use countersign_domain::change::Write;
use countersign_domain::ids::UserRef;
use countersign_domain::user::Usage;
use sqlx::SqliteConnection;

/// Makes one write.
pub(crate) async fn apply(
    at: &mut SqliteConnection,
    seal: &Sealer,
    user: &UserRef,
    write: &Write,
) -> Result<(), Stop> {
    match write {
        Write::PutAuthenticator(row) => authenticators::put(at, seal, user, row).await,
        Write::UseAuthenticator { id, usage, last_use_time, consecutive_failures } => {
            let (time, failures) = (*last_use_time, *consecutive_failures);
            match usage {
                Usage::Totp { last_step } => {
                    authenticators::use_once(at, user, *id, *last_step, time, failures).await
                }
                Usage::Sms { sent } => {
                    authenticators::use_telephone(at, user, *id, *sent, time, failures).await
                }
                Usage::SecurityKey { sign_count, backed_up } => {
                    let said = (*sign_count, *backed_up);
                    authenticators::use_security_key(at, user, *id, said, time, failures).await
                }
            }
        }
        Write::RemoveAuthenticator(id) => authenticators::remove(at, user, *id).await,
        Write::PutPending(row) => authenticators::put_pending(at, seal, user, row).await,
        Write::ChargePending { id, tries_left } => {
            authenticators::charge_pending(at, user, *id, *tries_left).await
        }
        Write::RemovePending(id) => authenticators::remove_pending(at, user, *id).await,
        Write::PutRecoverySet(set) => authenticators::put_recovery_set(at, user, set).await,
        Write::UseRecoveryCode { set, index, used_time } => {
            authenticators::use_recovery_code(at, user, *set, *index, *used_time).await
        }
        Write::RemoveRecoverySet => authenticators::remove_recovery_set(at, user).await,
        Write::AddChallenge(row) => logins::add_challenge(at, user, row).await,
        Write::RemoveChallenge(id) => logins::remove_challenge(at, user, *id).await,
        Write::AddTicket(row) => logins::add_ticket(at, user, row).await,
        Write::RemoveTicket(id) => logins::remove_ticket(at, user, *id).await,
        Write::PutClient(row) => logins::put_client(at, user, row).await,
        Write::RemoveClient(id) => logins::remove_client(at, user, *id).await,
        Write::PutDirectory(entry) => logins::put_directory(at, user, entry).await,
        Write::RemoveDirectory => logins::remove_directory(at, user).await,
    }
}
