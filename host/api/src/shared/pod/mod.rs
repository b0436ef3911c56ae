//! The template and the spec of pods, which Pod and the kinds that make pods have in common.

pub(crate) mod container;
pub(crate) mod defaults;
pub(crate) mod field_selector;
pub(crate) mod image;
pub(crate) mod path;
pub(crate) mod requests;
pub(crate) mod security;
pub(crate) mod validation;
pub(crate) mod volume;
pub(crate) mod volume_overlap;
pub(crate) mod warnings;
