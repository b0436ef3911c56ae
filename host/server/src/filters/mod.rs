//! The stages of the road, one a file. [`crate::road`] composes them.

pub mod audit;
pub mod authentication;
pub mod authorization;
pub mod deadline;
pub mod impersonation;
pub mod warning;
