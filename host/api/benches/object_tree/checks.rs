//! A part of what validation does with containers, written once over what reads an object: how much of its time is the reading?

use std::collections::HashSet;

use apimachinery::field::{Error, Path};
use apimachinery::quantity::Quantity;
use serde_json::Value;

use crate::tree::{Numbers, Tree};

/// A value that is read. A field is named by its name or by its number, whatever finds it.
pub trait Read: Copy {
    fn field(self, name: &str, number: u16) -> Option<Self>;
    fn text(self) -> Option<impl AsRef<str>>;
    fn int(self) -> Option<i64>;
    fn items(self) -> impl Iterator<Item = Self>;
    /// The value of a map's key.
    fn entry(self, key: &str) -> Option<Self>;
    fn entries(self) -> impl Iterator<Item = (impl AsRef<str>, Self)>;
}

#[derive(Clone, Copy)]
pub struct InValue<'a>(pub &'a Value);

impl Read for InValue<'_> {
    fn field(self, name: &str, _: u16) -> Option<Self> {
        self.0.get(name).map(Self)
    }

    fn text(self) -> Option<impl AsRef<str>> {
        self.0.as_str()
    }

    fn int(self) -> Option<i64> {
        self.0.as_i64()
    }

    fn items(self) -> impl Iterator<Item = Self> {
        self.0.as_array().into_iter().flatten().map(Self)
    }

    fn entry(self, key: &str) -> Option<Self> {
        self.0.get(key).map(Self)
    }

    fn entries(self) -> impl Iterator<Item = (impl AsRef<str>, Self)> {
        self.0.as_object().into_iter().flatten().map(|(key, value)| (key, Self(value)))
    }
}

#[derive(Clone, Copy)]
pub struct InTree<'t, 'a>(pub &'t Tree<'a>);

impl Read for InTree<'_, '_> {
    fn field(self, _: &str, number: u16) -> Option<Self> {
        self.0.field(number).map(Self)
    }

    fn text(self) -> Option<impl AsRef<str>> {
        if let Tree::Text(text) = self.0 { Some(text) } else { None }
    }

    fn int(self) -> Option<i64> {
        if let Tree::Int(number) = self.0 { Some(*number) } else { None }
    }

    fn items(self) -> impl Iterator<Item = Self> {
        let items = if let Tree::List(items) = self.0 { items.as_slice() } else { &[] };
        items.iter().map(Self)
    }

    fn entry(self, key: &str) -> Option<Self> {
        let Tree::Map(entries) = self.0 else { return None };
        entries.iter().find(|(other, _)| other == key).map(|(_, value)| Self(value))
    }

    fn entries(self) -> impl Iterator<Item = (impl AsRef<str>, Self)> {
        let entries = if let Tree::Map(entries) = self.0 { entries.as_slice() } else { &[] };
        entries.iter().map(|(key, value)| (key, Self(value)))
    }
}

/// What is wrong with the containers of a pod.
pub fn containers<R: Read>(pod: R, numbers: &Numbers) -> Vec<Error> {
    let mut errors = Vec::new();
    let mut names = HashSet::new();
    let path = Path::new("spec").child("containers");
    let list = pod.field("spec", numbers.spec).and_then(|spec| spec.field("containers", numbers.containers));
    for (i, container) in list.into_iter().flat_map(R::items).enumerate() {
        let path = path.index(i);
        let name = owned(container.field("name", numbers.container_name));
        label(&name, &path.child("name"), &mut errors);
        if !names.insert(name.clone()) {
            errors.push(Error::duplicate(&path.child("name"), name));
        }
        ports(container.field("ports", numbers.ports), numbers, &path.child("ports"), &mut errors);
        let variables = container.field("env", numbers.env);
        for (i, variable) in variables.into_iter().flat_map(R::items).enumerate() {
            let path = path.child("env").index(i).child("name");
            match variable.field("name", numbers.variable).and_then(R::text) {
                Some(name) if !name.as_ref().is_empty() => {
                    if name.as_ref().bytes().any(|byte| byte == b'=' || !(b' '..=b'~').contains(&byte)) {
                        errors.push(Error::invalid(&path, name.as_ref(), "a valid environment variable name is printable"));
                    }
                }
                _ => errors.push(Error::required(&path, "")),
            }
        }
        let mut mounted = HashSet::new();
        for (i, mount) in container.field("volumeMounts", numbers.mounts).into_iter().flat_map(R::items).enumerate() {
            let at = owned(mount.field("mountPath", numbers.mount_path));
            let path = path.child("volumeMounts").index(i).child("mountPath");
            if at.is_empty() {
                errors.push(Error::required(&path, ""));
            } else if !mounted.insert(at) {
                errors.push(Error::invalid(&path, "", "must be unique"));
            }
        }
        resources(container.field("resources", numbers.resources), numbers, &path.child("resources"), &mut errors);
    }
    errors
}

fn owned<R: Read>(value: Option<R>) -> String {
    value.and_then(R::text).map(|text| text.as_ref().to_owned()).unwrap_or_default()
}

fn label(name: &str, path: &Path, errors: &mut Vec<Error>) {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if name.is_empty() || name.len() > 63 || !name.bytes().all(fits) || name.starts_with('-') || name.ends_with('-') {
        errors.push(Error::invalid(path, name, "no DNS label"));
    }
}

fn ports<R: Read>(list: Option<R>, numbers: &Numbers, path: &Path, errors: &mut Vec<Error>) {
    for (i, port) in list.into_iter().flat_map(R::items).enumerate() {
        let path = path.index(i);
        if let Some(name) = port.field("name", numbers.port_name).and_then(R::text) {
            label(name.as_ref(), &path.child("name"), errors);
        }
        let number = port.field("containerPort", numbers.container_port).and_then(R::int).unwrap_or(0);
        if !(1..=65_535).contains(&number) {
            errors.push(Error::invalid(&path.child("containerPort"), number, "must be between 1 and 65535, inclusive"));
        }
        let protocol = owned(port.field("protocol", numbers.protocol));
        if !["TCP", "UDP", "SCTP"].contains(&protocol.as_str()) {
            errors.push(Error::invalid(&path.child("protocol"), protocol, "no protocol"));
        }
    }
}

fn resources<R: Read>(resources: Option<R>, numbers: &Numbers, path: &Path, errors: &mut Vec<Error>) {
    let quantity = |value: R| value.text().and_then(|text| Quantity::parse(text.as_ref()).ok()).unwrap_or(Quantity::ZERO);
    let limits = resources.and_then(|resources| resources.field("limits", numbers.limits));
    let requests = resources.and_then(|resources| resources.field("requests", numbers.requests));
    for (name, request) in requests.into_iter().flat_map(R::entries) {
        let path = path.child("requests").key(name.as_ref());
        let request = quantity(request);
        if request.sign() < 0 {
            errors.push(Error::invalid(&path, request.to_string(), "must be greater than or equal to 0"));
        }
        if limits.and_then(|limits| limits.entry(name.as_ref())).is_some_and(|limit| quantity(limit) < request) {
            errors.push(Error::invalid(&path, request.to_string(), "must be less than or equal to the limit"));
        }
    }
    for (name, limit) in limits.into_iter().flat_map(R::entries) {
        if quantity(limit).sign() < 0 {
            errors.push(Error::invalid(&path.child("limits").key(name.as_ref()), "", "must be greater than or equal to 0"));
        }
    }
}
