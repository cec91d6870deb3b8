//! What the tests share: a world to call into, people to act in it, and how statuses and messages are compared.

mod faults;
mod frames;
mod person;
mod raw;
mod told;
mod world;

pub(crate) use faults::Fault;
pub(crate) use frames::Frames;
pub(crate) use person::{Enrolled, Person, answer, code, password};
pub(crate) use raw::Raw;
pub(crate) use told::{Told, reason};
pub(crate) use world::{Client, EVERYTHING, World, callers, limited, options};
