//! Which interfaces a component is asked for, and whether it exports those that its manifest promises.

use wasmtime::component::Component;

use crate::interface::{InterfaceVersion, PACKAGE};
use crate::manifest::{Manifest, Role};

/// An interface that the manifest promises and the component does not export.
pub(crate) struct MissingExport {
    pub(crate) interface: &'static str,
    /// What of the manifest needs it: `the role authorizer`.
    pub(crate) needed_by: String,
}

/// Which interfaces a component is asked for.
pub(crate) struct WantedExports {
    pub(crate) authenticator: bool,
    pub(crate) authorizer: bool,
    pub(crate) rules: bool,
    pub(crate) mutating: bool,
    pub(crate) validating: bool,
    pub(crate) changes: bool,
}

impl WantedExports {
    /// What the manifest promises must be there.
    pub(crate) fn of(component: &Component, manifest: &Manifest, version: InterfaceVersion) -> Result<Self, MissingExport> {
        let version = version.number();
        let exported = |interface: &str| component.get_export_index(None, format!("{PACKAGE}/{interface}@{version}").as_str()).is_some();
        let require = |interface: &'static str, needed_by: String| match exported(interface) {
            true => Ok(()),
            false => Err(MissingExport { interface, needed_by }),
        };
        require("plugin", "every plugin".into())?;
        for role in &manifest.roles {
            require(role.as_str(), format!("the role {}", role.as_str()))?;
        }
        if !manifest.watches.is_empty() {
            require("changes", "spec.watches".into())?;
        }
        let has = |role| manifest.roles.contains(&role);
        Ok(Self {
            authenticator: has(Role::Authenticator),
            authorizer: has(Role::Authorizer),
            rules: has(Role::Authorizer) && exported("rules"),
            mutating: has(Role::MutatingAdmission),
            validating: has(Role::ValidatingAdmission),
            changes: !manifest.watches.is_empty(),
        })
    }
}
