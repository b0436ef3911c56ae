//! What may stand in a name, a label, a port, …, in upstream's words (`k8s.io/apimachinery/pkg/util/validation` and
//! `pkg/api/validation`).
//!
//! The functions of [`name`] give back the words of all that is wrong; an empty list means that the value is valid. Those that
//! speak of a field give back [`crate::field::Error`]s.

pub mod ip;
pub mod meta;
pub mod name;
pub mod object_meta;
