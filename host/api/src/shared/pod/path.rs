//! Paths of files that a pod names: within a volume, or below a directory of the node's.

use crate::shared::field_value::{Errors, FieldValue};

/// A path below a directory.
pub(crate) fn local_descending_path(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().starts_with('/') {
        errors.push(at.invalid("must be a relative path"));
    }
    no_backsteps(at, errors);
}

/// Not a way up.
pub(crate) fn no_backsteps(at: &FieldValue<'_>, errors: &mut Errors) {
    if at.text().split('/').any(|part| part == "..") {
        errors.push(at.invalid("must not contain '..'"));
    }
}
