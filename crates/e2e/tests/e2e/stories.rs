//! The five products, each driven whole: its users set up, sign in, lose the phone, recover, replace, switch off or are
//! refused. One module a preset, on the demo tenant of its name unless it says otherwise.
//!
//! What lives here: what users of a product can and cannot do, told as stories. Beside the five: what any product can have
//! by policy, and whose a code is. Not here: the other rules that hold under every policy, such as that a code serves once.

mod admin_permissions;
mod calls;
mod federated;
mod foreign_codes;
mod letters;
mod mandatory_managed;
mod parameters;
mod password_and_code;
mod phone;
mod previews;
mod self_service_code;
mod self_service_password;
mod table;
mod verdicts;
