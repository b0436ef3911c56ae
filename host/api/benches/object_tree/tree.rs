//! The prototype: an object whose fields are numbers of its type's, in sorted vectors, and whose strings are slices of the body.
//!
//! One pass over the bytes decodes, checks types, drops unknown fields, normalises and fills in defaults. What is out of the ordinary
//! (a type that does not fit, a repeated field, a field of a rare type) ends it with `None`: a server would go the long way then, which
//! knows the words. It is made for speed and for pods, and is the best that can be hoped for: strings are never copied.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;

use apimachinery::quantity::Quantity;
use apimachinery::schema::{FieldType, Schema};

/// A value.
#[derive(Clone, Debug)]
pub enum Tree<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Text(Cow<'a, str>),
    List(Vec<Tree<'a>>),
    /// Sorted by key.
    Map(Vec<(Cow<'a, str>, Tree<'a>)>),
    /// Number of the plan; fields by their numbers, sorted.
    Object(u32, Vec<(u16, Tree<'a>)>),
}

impl<'a> Tree<'a> {
    pub fn text(text: &'static str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    pub fn field(&self, field: u16) -> Option<&Tree<'a>> {
        let Self::Object(_, fields) = self else { return None };
        fields.iter().find(|(number, _)| *number == field).map(|(_, value)| value)
    }

    pub fn set(&mut self, field: u16, value: Tree<'a>) {
        if let Self::Object(_, fields) = self {
            set(fields, field, value);
        }
    }

    pub fn field_mut(&mut self, field: u16) -> Option<&mut Tree<'a>> {
        let Self::Object(_, fields) = self else { return None };
        fields.iter_mut().find(|(number, _)| *number == field).map(|(_, value)| value)
    }

    fn is_zero(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Bool(flag) => !flag,
            Self::Int(number) => *number == 0,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Map(entries) => entries.is_empty(),
            Self::Object(..) => false,
        }
    }
}

fn set<'a, K: Ord>(pairs: &mut Vec<(K, Tree<'a>)>, key: K, value: Tree<'a>) {
    match pairs.binary_search_by(|(other, _)| other.cmp(&key)) {
        Ok(at) => pairs[at].1 = value,
        Err(at) => pairs.insert(at, (key, value)),
    }
}

#[derive(Clone, Debug)]
enum Kind {
    Bool,
    Int,
    Text,
    /// Rounded up to thousandths, or as it is.
    Quantity(bool),
    IntOrString,
    List(Box<Kind>),
    Map(Box<Kind>),
    Object(u32),
    Rare,
}

#[derive(Clone, Copy, PartialEq)]
enum When {
    Nil,
    Zero,
}

#[derive(Clone)]
enum Fill {
    Text(&'static str),
    Int(i64),
    Bool(bool),
    Null,
    Object(u32),
}

struct Field {
    name: String,
    /// `"name":`
    key: Vec<u8>,
    kind: Kind,
    /// A zero value stays.
    kept: bool,
    null: bool,
    fill: Option<(When, Fill)>,
}

/// An object type: what is to be done with its fields.
pub struct Plan {
    name: String,
    fields: Vec<Field>,
    fills: Vec<u16>,
}

/// All types below one.
pub struct Plans(Vec<Plan>);

/// Defaults that are the same in all objects of a type: type, field, when, what.
const DEFAULTS: &[(&str, &str, When, Fill)] = &[
    ("PodSpec", "dnsPolicy", When::Zero, Fill::Text("ClusterFirst")),
    ("PodSpec", "restartPolicy", When::Zero, Fill::Text("Always")),
    ("PodSpec", "terminationGracePeriodSeconds", When::Nil, Fill::Int(30)),
    ("PodSpec", "schedulerName", When::Zero, Fill::Text("default-scheduler")),
    ("PodSpec", "enableServiceLinks", When::Nil, Fill::Bool(true)),
    ("Container", "terminationMessagePath", When::Zero, Fill::Text("/dev/termination-log")),
    ("Container", "terminationMessagePolicy", When::Zero, Fill::Text("File")),
    ("ContainerPort", "protocol", When::Zero, Fill::Text("TCP")),
    ("Probe", "timeoutSeconds", When::Zero, Fill::Int(1)),
    ("Probe", "periodSeconds", When::Zero, Fill::Int(10)),
    ("Probe", "successThreshold", When::Zero, Fill::Int(1)),
    ("Probe", "failureThreshold", When::Zero, Fill::Int(3)),
    ("HTTPGetAction", "path", When::Zero, Fill::Text("/")),
    ("HTTPGetAction", "scheme", When::Zero, Fill::Text("HTTP")),
    ("ObjectFieldSelector", "apiVersion", When::Zero, Fill::Text("v1")),
    ("ConfigMapVolumeSource", "defaultMode", When::Nil, Fill::Int(0o644)),
    ("SecretVolumeSource", "defaultMode", When::Nil, Fill::Int(0o644)),
    ("ProjectedVolumeSource", "defaultMode", When::Nil, Fill::Int(0o644)),
    ("DownwardAPIVolumeSource", "defaultMode", When::Nil, Fill::Int(0o644)),
    ("ServiceAccountTokenProjection", "expirationSeconds", When::Nil, Fill::Int(3600)),
    ("HostPathVolumeSource", "type", When::Nil, Fill::Text("")),
];

impl Plans {
    /// The root is the first.
    pub fn of(schema: &Schema) -> Self {
        let facts = include_str!("../../data/serialization.txt").lines().filter_map(|line| line.split_once(' ')).collect();
        let mut plans = Self(Vec::new());
        plans.add(schema, &facts, &mut HashMap::new());
        plans
    }

    fn add(&mut self, schema: &Schema, facts: &HashMap<&str, &str>, seen: &mut HashMap<String, u32>) -> u32 {
        if let Some(there) = seen.get(&*schema.name) {
            return *there;
        }
        let number = self.0.len() as u32;
        seen.insert(schema.name.to_string(), number);
        let name = schema.name.rsplit('.').next().unwrap_or_default().to_owned();
        self.0.push(Plan { name: name.clone(), fields: Vec::new(), fills: Vec::new() });
        let presences = facts.get(&*schema.name).copied().unwrap_or_default();
        let mut fields = Vec::new();
        for field in schema.fields.iter() {
            let kind = self.kind(&field.kind, &name, facts, seen);
            let presence = presences.split(' ').filter_map(|word| word.split_once(':')).find(|(name, _)| *name == field.name);
            let presence = presence.map(|(_, presence)| presence);
            let default = DEFAULTS.iter().find(|row| row.0 == name && row.1 == field.name).map(|row| (row.2, row.3.clone()));
            let fill = default.or_else(|| {
                let zero = match (presence, &kind) {
                    (Some("text"), _) => Fill::Text(""),
                    (Some("zero"), _) => Fill::Int(0),
                    (Some("false"), _) => Fill::Bool(false),
                    (Some("null"), _) => Fill::Null,
                    (Some("quantity"), _) => Fill::Text("0"),
                    (Some("duration"), _) => Fill::Text("0s"),
                    (Some("object"), Kind::Object(inner)) => Fill::Object(*inner),
                    (None, Kind::Object(inner)) if name == "PodSpec" && field.name == "securityContext" => Fill::Object(*inner),
                    _ => return None,
                };
                Some((When::Nil, zero))
            });
            let key = format!("\"{}\":", field.name).into_bytes();
            let (kept, null) = (presence.is_some(), presence == Some("null"));
            fields.push(Field { name: field.name.to_string(), key, kind, kept, null, fill });
        }
        let plan = &mut self.0[number as usize];
        plan.fills = (0..fields.len() as u16).filter(|i| fields[*i as usize].fill.is_some()).collect();
        plan.fields = fields;
        number
    }

    fn kind(&mut self, kind: &FieldType, owner: &str, facts: &HashMap<&str, &str>, seen: &mut HashMap<String, u32>) -> Kind {
        match kind {
            FieldType::Bool => Kind::Bool,
            FieldType::Int32 | FieldType::Int64 => Kind::Int,
            FieldType::String => Kind::Text,
            FieldType::Quantity => Kind::Quantity(owner == "ResourceRequirements"),
            FieldType::IntOrString => Kind::IntOrString,
            FieldType::List(items) => Kind::List(Box::new(self.kind(items, owner, facts, seen))),
            FieldType::Map(values) => Kind::Map(Box::new(self.kind(values, owner, facts, seen))),
            FieldType::Object(schema) if !schema.preserve_unknown => Kind::Object(self.add(schema, facts, seen)),
            _ => Kind::Rare,
        }
    }

    /// The number of a field.
    pub fn number(&self, type_name: &str, field: &str) -> u16 {
        let plan = self.0.iter().find(|plan| plan.name == type_name).expect("a type below the root");
        plan.fields.iter().position(|other| other.name == field).expect("one of its fields") as u16
    }

    /// An object of a type, with what is always there.
    pub fn empty(&self, type_name: &str) -> Tree<'static> {
        Tree::Object(self.0.iter().position(|plan| plan.name == type_name).expect("a type below the root") as u32, Vec::new())
    }

    fn complete<'a>(&self, plan: &Plan, fields: &mut Vec<(u16, Tree<'a>)>) {
        for number in &plan.fills {
            let Some((when, fill)) = &plan.fields[*number as usize].fill else { continue };
            let at = fields.binary_search_by_key(number, |(number, _)| *number);
            if at.is_ok_and(|at| *when == When::Nil || !fields[at].1.is_zero()) {
                continue;
            }
            let value = match fill {
                Fill::Text(text) => Tree::text(text),
                Fill::Int(number) => Tree::Int(*number),
                Fill::Bool(flag) => Tree::Bool(*flag),
                Fill::Null => Tree::Null,
                Fill::Object(inner) => {
                    let mut fields = Vec::new();
                    self.complete(&self.0[*inner as usize], &mut fields);
                    Tree::Object(*inner, fields)
                }
            };
            match at {
                Ok(at) => fields[at].1 = value,
                Err(at) => fields.insert(at, (*number, value)),
            }
        }
    }

    /// The one pass.
    pub fn read<'a>(&self, body: &'a [u8], numbers: &Numbers) -> Option<Tree<'a>> {
        // Checked once, so that every slice of it is text.
        let text = std::str::from_utf8(body).ok()?;
        let mut reader = Reader { plans: self, numbers, text, position: 0 };
        reader.space();
        let mut pod = reader.value(&Kind::Object(0))??;
        reader.space();
        if reader.position < text.len() {
            return None;
        }
        default_pod(&mut pod, numbers);
        Some(pod)
    }

    /// In the layout of `objectstore::layout`.
    pub fn encode(&self, object: &Tree<'_>, head: &str, numbers: &Numbers) -> Vec<u8> {
        let mut out = Vec::with_capacity(4096);
        out.extend_from_slice(head.as_bytes());
        let Tree::Object(plan, fields) = object else { unreachable!("a pod is an object") };
        let plan = &self.0[*plan as usize];
        if let Some(metadata) = object.field(numbers.metadata) {
            out.extend_from_slice(b"\"metadata\":");
            self.write(&mut out, metadata);
        }
        for (number, value) in fields {
            if ![numbers.metadata, numbers.kind, numbers.api_version].contains(number) {
                out.push(b',');
                out.extend_from_slice(&plan.fields[*number as usize].key);
                self.write(&mut out, value);
            }
        }
        out.push(b'}');
        out
    }

    fn write(&self, out: &mut Vec<u8>, value: &Tree<'_>) {
        match value {
            Tree::Null => out.extend_from_slice(b"null"),
            Tree::Bool(flag) => out.extend_from_slice(if *flag { b"true" } else { b"false" }),
            Tree::Int(number) => write!(out, "{number}").expect("writing to a vector"),
            Tree::Text(text) => write_text(out, text),
            Tree::List(items) => {
                out.push(b'[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    self.write(out, item);
                }
                out.push(b']');
            }
            Tree::Map(entries) => {
                out.push(b'{');
                for (i, (key, value)) in entries.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    write_text(out, key);
                    out.push(b':');
                    self.write(out, value);
                }
                out.push(b'}');
            }
            Tree::Object(plan, fields) => {
                let plan = &self.0[*plan as usize];
                out.push(b'{');
                for (i, (number, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(&plan.fields[*number as usize].key);
                    self.write(out, value);
                }
                out.push(b'}');
            }
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    if text.bytes().any(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        serde_json::to_writer(out, text).expect("a string always serialises");
    } else {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    }
}

/// The numbers of the fields that code names.
macro_rules! numbers {
    ($($name:ident: $type:literal $field:literal),* $(,)?) => {
        pub struct Numbers { $(pub $name: u16),* }
        impl Numbers {
            pub fn of(plans: &Plans) -> Self {
                Self { $($name: plans.number($type, $field)),* }
            }
        }
    };
}

numbers! {
    api_version: "Pod" "apiVersion", kind: "Pod" "kind", metadata: "Pod" "metadata", spec: "Pod" "spec", status: "Pod" "status",
    namespace: "ObjectMeta" "namespace", uid: "ObjectMeta" "uid", generation: "ObjectMeta" "generation",
    created: "ObjectMeta" "creationTimestamp",
    containers: "PodSpec" "containers", init_containers: "PodSpec" "initContainers",
    service_account: "PodSpec" "serviceAccount", service_account_name: "PodSpec" "serviceAccountName",
    container_name: "Container" "name", image: "Container" "image", image_pull_policy: "Container" "imagePullPolicy",
    resources: "Container" "resources", ports: "Container" "ports", env: "Container" "env", mounts: "Container" "volumeMounts",
    limits: "ResourceRequirements" "limits", requests: "ResourceRequirements" "requests",
    container_port: "ContainerPort" "containerPort", port_name: "ContainerPort" "name", protocol: "ContainerPort" "protocol",
    variable: "EnvVar" "name", mount_path: "VolumeMount" "mountPath",
    empty_dir: "Volume" "emptyDir",
    phase: "PodStatus" "phase", qos_class: "PodStatus" "qosClass",
}

struct Reader<'a, 'p> {
    plans: &'p Plans,
    numbers: &'p Numbers,
    text: &'a str,
    position: usize,
}

impl<'a> Reader<'a, '_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.position).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.position += 1;
        }
    }

    fn eat(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.position += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text.as_bytes()[self.position..].starts_with(word.as_bytes()).then(|| self.position += word.len())
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        self.eat(b'"')?;
        let start = self.position;
        let end = start + self.text.as_bytes()[start..].iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < b' ')?;
        if self.text.as_bytes()[end] == b'"' {
            self.position = end + 1;
            return Some(Cow::Borrowed(&self.text[start..end]));
        }
        let mut stream = serde_json::Deserializer::from_str(&self.text[start - 1..]).into_iter::<String>();
        let text = stream.next()?.ok()?;
        self.position = start - 1 + stream.byte_offset();
        Some(Cow::Owned(text))
    }

    fn key(&mut self) -> Option<Cow<'a, str>> {
        let key = self.string()?;
        self.space();
        self.eat(b':')?;
        self.space();
        Some(key)
    }

    /// Whether another item follows; the end is eaten.
    fn more(&mut self, end: u8) -> Option<bool> {
        self.space();
        if self.eat(end).is_some() {
            return Some(false);
        }
        self.eat(b',')?;
        self.space();
        Some(true)
    }

    fn int(&mut self) -> Option<i64> {
        let start = self.position;
        while matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            self.position += 1;
        }
        let number = &self.text[start..self.position];
        if matches!(self.peek(), Some(b'.' | b'e' | b'E')) || number.len() > 1 && number.starts_with('0') || number.starts_with("-0") {
            return None;
        }
        number.parse().ok()
    }

    /// Any value, for nothing.
    fn skip(&mut self) -> Option<()> {
        let mut stream = serde_json::Deserializer::from_str(&self.text[self.position..]).into_iter::<serde::de::IgnoredAny>();
        stream.next()?.ok()?;
        self.position += stream.byte_offset();
        Some(())
    }

    /// `Some(None)` is null.
    fn value(&mut self, kind: &Kind) -> Option<Option<Tree<'a>>> {
        let first = self.peek()?;
        if first == b'n' {
            return self.word("null").map(|()| None);
        }
        Some(Some(match kind {
            Kind::Bool if first == b't' => self.word("true").map(|()| Tree::Bool(true))?,
            Kind::Bool => self.word("false").map(|()| Tree::Bool(false))?,
            Kind::Int => Tree::Int(self.int()?),
            Kind::Text => Tree::Text(self.string()?),
            Kind::Quantity(round) => Tree::Text(self.quantity(first, *round)?),
            Kind::IntOrString if first == b'"' => Tree::Text(self.string()?),
            Kind::IntOrString => Tree::Int(self.int()?),
            Kind::List(items) => {
                self.eat(b'[')?;
                self.space();
                let mut list = Vec::new();
                let mut more = self.eat(b']').is_none();
                while more {
                    list.push(self.value(items)??);
                    more = self.more(b']')?;
                }
                Tree::List(list)
            }
            Kind::Map(values) => {
                self.eat(b'{')?;
                self.space();
                let mut map: Vec<(Cow<'a, str>, Tree<'a>)> = Vec::new();
                let mut more = self.eat(b'}').is_none();
                while more {
                    let key = self.key()?;
                    let value = self.value(values)??;
                    match map.binary_search_by(|(other, _)| other.cmp(&key)) {
                        Ok(_) => return None,
                        Err(at) => map.insert(at, (key, value)),
                    }
                    more = self.more(b'}')?;
                }
                Tree::Map(map)
            }
            Kind::Object(number) => Tree::Object(*number, self.object(*number)?),
            Kind::Rare => return None,
        }))
    }

    fn quantity(&mut self, first: u8, round: bool) -> Option<Cow<'a, str>> {
        let given = if first == b'"' { self.string()? } else { self.int()?.to_string().into() };
        let mut quantity = Quantity::parse(given.trim()).ok()?;
        if round {
            quantity.round_up(-3);
        }
        let canonical = quantity.to_string();
        Some(if *given == canonical { given } else { canonical.into() })
    }

    fn object(&mut self, number: u32) -> Option<Vec<(u16, Tree<'a>)>> {
        let plans = self.plans;
        let plan = &plans.0[number as usize];
        self.eat(b'{')?;
        self.space();
        let mut fields: Vec<(u16, Tree<'a>)> = Vec::with_capacity(plan.fills.len() + 2);
        let mut more = self.eat(b'}').is_none();
        while more {
            let key = self.key()?;
            match plan.fields.binary_search_by(|field| (*field.name).cmp(&*key)) {
                Err(_) => self.skip()?,
                Ok(at) => {
                    let field = &plan.fields[at];
                    if let Some(value) = self.value(&field.kind)?
                        && (field.kept && !(field.null && value.is_zero()) || !value.is_zero())
                    {
                        match fields.binary_search_by_key(&(at as u16), |(number, _)| *number) {
                            Ok(_) => return None,
                            Err(place) => fields.insert(place, (at as u16, value)),
                        }
                    }
                }
            }
            more = self.more(b'}')?;
        }
        plans.complete(plan, &mut fields);
        self.default(plan, &mut fields);
        Some(fields)
    }

    /// Defaults that follow from the object's other fields.
    fn default(&self, plan: &Plan, fields: &mut Vec<(u16, Tree<'a>)>) {
        let numbers = self.numbers;
        let at = |fields: &[(u16, Tree<'a>)], number: u16| fields.iter().position(|(other, _)| *other == number);
        match plan.name.as_str() {
            "Container" if at(fields, numbers.image_pull_policy).is_none() => {
                let image = at(fields, numbers.image).map_or("", |at| if let Tree::Text(text) = &fields[at].1 { text } else { "" });
                let policy = pull_policy(image);
                set(fields, numbers.image_pull_policy, Tree::text(policy));
            }
            "Volume" if fields.len() == 1 => {
                set(fields, numbers.empty_dir, self.plans.empty("EmptyDirVolumeSource"));
            }
            _ => {}
        }
    }
}

/// For plain references of images.
fn pull_policy(image: &str) -> &'static str {
    match image.rsplit_once(':') {
        Some((_, tag)) if !tag.contains('/') => {
            if tag == "latest" {
                "Always"
            } else {
                "IfNotPresent"
            }
        }
        _ if image.is_empty() => "IfNotPresent",
        _ => "Always",
    }
}

/// Requests are limits where they say nothing; both names of the service account.
fn default_pod(pod: &mut Tree<'_>, numbers: &Numbers) {
    let Some(spec) = pod.field_mut(numbers.spec) else { return };
    for list in [numbers.containers, numbers.init_containers] {
        let Some(Tree::List(containers)) = spec.field_mut(list) else { continue };
        for resources in containers.iter_mut().filter_map(|container| container.field_mut(numbers.resources)) {
            let Some(Tree::Map(limits)) = resources.field(numbers.limits) else { continue };
            let mut requests = match resources.field(numbers.requests) {
                Some(Tree::Map(requests)) if limits.iter().all(|(name, _)| requests.iter().any(|(other, _)| name == other)) => continue,
                Some(Tree::Map(requests)) => requests.clone(),
                _ => Vec::new(),
            };
            for (name, quantity) in limits {
                if !requests.iter().any(|(other, _)| other == name) {
                    set(&mut requests, name.clone(), quantity.clone());
                }
            }
            resources.set(numbers.requests, Tree::Map(requests));
        }
    }
    match (spec.field(numbers.service_account_name).cloned(), spec.field(numbers.service_account).cloned()) {
        (Some(new), _) => spec.set(numbers.service_account, new),
        (None, Some(old)) => spec.set(numbers.service_account_name, old),
        (None, None) => {}
    }
}

/// Identity, time and the first status.
pub fn prepare<'a>(pod: &mut Tree<'a>, plans: &Plans, numbers: &Numbers, given: [&'a str; 3]) {
    let class = qos_class(pod, numbers);
    let mut status = plans.empty("PodStatus");
    status.set(numbers.phase, Tree::text("Pending"));
    status.set(numbers.qos_class, Tree::text(class));
    pod.set(numbers.status, status);
    let Some(metadata) = pod.field_mut(numbers.metadata) else { return };
    for (number, text) in [numbers.namespace, numbers.uid, numbers.created].into_iter().zip(given) {
        metadata.set(number, Tree::Text(text.into()));
    }
    metadata.set(numbers.generation, Tree::Int(1));
}

/// As `qos_class` of `core/pod/strategy.rs`, for containers' resources.
fn qos_class(pod: &Tree<'_>, numbers: &Numbers) -> &'static str {
    let (mut sums, mut guaranteed) = ([BTreeMap::new(), BTreeMap::new()], true);
    let spec = pod.field(numbers.spec);
    let lists = [numbers.containers, numbers.init_containers].map(|list| spec.and_then(|spec| spec.field(list)));
    for container in lists.into_iter().flatten().filter_map(|list| if let Tree::List(list) = list { Some(list) } else { None }).flatten() {
        let mut both = 0;
        for (i, which) in [numbers.requests, numbers.limits].into_iter().enumerate() {
            let Some(Tree::Map(entries)) = container.field(numbers.resources).and_then(|resources| resources.field(which)) else {
                continue;
            };
            for (name, value) in entries.iter().filter(|(name, _)| matches!(&**name, "cpu" | "memory")) {
                let Tree::Text(text) = value else { continue };
                let Some(quantity) = Quantity::parse(text).ok().filter(|quantity| *quantity > Quantity::ZERO) else { continue };
                both += i;
                sums[i].entry(name.clone()).or_insert(Quantity::ZERO).add(&quantity);
            }
        }
        guaranteed &= both == 2;
    }
    match (sums[0].is_empty() && sums[1].is_empty(), guaranteed && sums[0] == sums[1]) {
        (true, _) => "BestEffort",
        (_, true) => "Guaranteed",
        _ => "Burstable",
    }
}
