//! Each write as its statements of the script. The guard stands in the statement and the changed rows are counted.

mod authenticators;
mod credential_columns;
mod login_state;
pub(crate) mod records;
pub(crate) mod sends;

use crate::script::Script;
use crate::seal::Sealer;
use countersign_domain::change::Write;
use countersign_domain::ids::UserRef;
use countersign_domain::user::Usage;
use countersign_ports::StoreError;

/// Adds one write.
pub(crate) fn apply(
    script: &mut Script,
    seal: &Sealer,
    user: &UserRef,
    write: &Write,
) -> Result<(), StoreError> {
    match write {
        Write::SetFirstFactorSince(time) => login_state::set_first_factor_since(script, user, *time),
        Write::PutAuthenticator(row) => authenticators::put(script, seal, user, row)?,
        Write::UseAuthenticator { id, usage, last_use_time, consecutive_failures } => {
            let (time, failures) = (*last_use_time, *consecutive_failures);
            match usage {
                Usage::Totp { last_step } => {
                    authenticators::use_once(script, user, *id, *last_step, time, failures)?;
                }
                Usage::Sms { sent } => {
                    authenticators::use_telephone(script, user, *id, *sent, time, failures);
                }
                Usage::SecurityKey { sign_count, backed_up } => {
                    let said = (*sign_count, *backed_up);
                    authenticators::use_security_key(script, user, *id, said, time, failures);
                }
            }
        }
        Write::RemoveAuthenticator(id) => authenticators::remove(script, user, *id),
        Write::PutPending(row) => authenticators::put_pending(script, seal, user, row)?,
        Write::ChargePending { id, tries_left } => {
            authenticators::charge_pending(script, user, *id, *tries_left);
        }
        Write::RemovePending(id) => authenticators::remove_pending(script, user, *id),
        Write::PutRecoverySet(set) => authenticators::put_recovery_set(script, user, set),
        Write::UseRecoveryCode { set, index, used_time } => {
            authenticators::use_recovery_code(script, user, *set, *index, *used_time);
        }
        Write::RemoveRecoverySet => authenticators::remove_recovery_set(script, user),
        Write::AddChallenge(row) => login_state::add_challenge(script, user, row)?,
        Write::RemoveChallenge(id) => login_state::remove_challenge(script, user, *id),
        Write::AddTicket(row) => login_state::add_ticket(script, user, row)?,
        Write::RemoveTicket(id) => login_state::remove_ticket(script, user, *id),
        Write::PutClient(row) => login_state::put_client(script, user, row)?,
        Write::RemoveClient(id) => login_state::remove_client(script, user, *id),
        Write::PutDirectory(entry) => login_state::put_directory(script, user, entry),
        Write::RemoveDirectory => login_state::remove_directory(script, user),
    }
    Ok(())
}
