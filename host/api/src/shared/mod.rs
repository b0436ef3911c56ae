//! What kinds of several groups are made of: fields of an object and what can be wrong with them, metadata, selectors, pods.

pub(crate) mod cell;
pub(crate) mod claim;
pub(crate) mod der;
pub(crate) mod field_value;
pub(crate) mod metadata;
pub(crate) mod pod;
pub(crate) mod resources;
pub(crate) mod rules;
pub(crate) mod scheduling;
pub(crate) mod selector;
pub(crate) mod validation;
pub(crate) mod value;
pub(crate) mod warnings;
pub(crate) mod webhook_client;
pub(crate) mod workload;
