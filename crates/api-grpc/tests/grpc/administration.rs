//! Managers, administrators, the directory, those who set policies, and auditors, as they meet the contract.

mod delegated;
mod desk;
mod directory;
mod events;
mod explain;
mod mandatory;
mod policies;
mod rare_events;
mod remembered;
mod reset;
mod seeing;
mod tenants;
mod walk;
