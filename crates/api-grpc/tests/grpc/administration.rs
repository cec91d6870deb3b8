//! Managers, administrators, the directory, those who set policies, and auditors, as they meet the contract.

mod asked;
mod by_the_clock;
mod delegated;
mod desk;
mod directory;
mod events;
mod explain;
mod mandatory;
mod policies;
mod previewed;
mod rare_events;
mod remembered;
mod repeated;
mod reset;
mod seeing;
mod somebody_else;
mod stalled;
mod tenants;
mod walk;
