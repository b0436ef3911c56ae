//! The image of a container or of a volume.

use crate::shared::field_value::{Errors, FieldValue};

const PULL_POLICIES: [&str; 3] = ["Always", "IfNotPresent", "Never"];

/// When an image is pulled.
pub(crate) fn pull_policy(at: &FieldValue<'_>, errors: &mut Errors) {
    at.one_of(&PULL_POLICIES, errors);
}
