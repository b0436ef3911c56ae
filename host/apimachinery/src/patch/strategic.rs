//! Strategic merge patch (`k8s.io/apimachinery/pkg/util/strategicpatch`): a merge that knows from the schema by which key the
//! items of a list are told apart, and that takes orders from `$patch`, `$retainKeys`, `$setElementOrder/…` and
//! `$deleteFromPrimitiveList/…`.
//!
//! The order of a merged list is upstream's: items of the patch in the patch's order, the others in theirs, the two woven by
//! where they stood before.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::go_value::{show, type_name};
use super::rejected;
use crate::schema::{FieldType, Schema};
use crate::status::Status;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const ELEMENT_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// Why a patch cannot be merged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// A directive is malformed: 400.
    #[error("{0}")]
    Format(&'static str),
    /// Lists of lists: 422.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// Anything else, which upstream answers as 500.
    #[error("{0}")]
    Other(String),
}

const BAD_PRIMITIVE_LIST: MergeError = MergeError::Format("invalid patch format of primitive list");
const BAD_RETAIN_KEYS: MergeError = MergeError::Format("invalid patch format of retainKeys");
const BAD_ELEMENT_ORDER: MergeError = MergeError::Format("invalid patch format of setElementOrder list");

impl MergeError {
    /// As it is answered.
    pub fn into_status(self) -> Status {
        match self {
            Self::Format(words) => Status::bad_request(words),
            Self::ListOfLists => rejected(),
            Self::Other(words) => Status::unknown(words),
        }
    }
}

fn other(words: impl Into<String>) -> MergeError {
    MergeError::Other(words.into())
}

fn bad_type(wanted: &str, found: &Value) -> MergeError {
    other(format!("expected a {wanted}, but received a {}", type_name(found)))
}

fn no_merge_key(item: &Value, key: &str) -> MergeError {
    other(format!("map: {} does not contain declared merge key: {key}", show(item)))
}

/// What is known of the value that is merged.
#[derive(Clone, Copy)]
enum Shape<'s> {
    Object(&'s Schema),
    /// Neither fields nor merge keys; the name is that of Go's kind.
    Opaque(&'static str),
}

/// How a field is merged.
struct FieldMeta<'s> {
    shape: Shape<'s>,
    merge: bool,
    replace: bool,
    merge_key: &'s str,
}

fn shape_of(kind: &FieldType) -> Shape<'_> {
    match kind {
        FieldType::Object(schema) => Shape::Object(schema),
        FieldType::Map(_) | FieldType::SharedMap(_) => Shape::Opaque("map"),
        FieldType::List(_) | FieldType::SharedList(_) | FieldType::Bytes => Shape::Opaque("slice"),
        FieldType::Any => Shape::Opaque("interface"),
        FieldType::Bool => Shape::Opaque("bool"),
        FieldType::Int32 => Shape::Opaque("int32"),
        FieldType::Int64 => Shape::Opaque("int64"),
        FieldType::Float => Shape::Opaque("float64"),
        FieldType::String => Shape::Opaque("string"),
        _ => Shape::Opaque("struct"),
    }
}

impl<'s> Shape<'s> {
    fn name(self) -> &'static str {
        match self {
            Self::Object(_) => "struct",
            Self::Opaque(name) => name,
        }
    }

    fn field(self, name: &str) -> Result<(&'s FieldType, FieldMeta<'s>), MergeError> {
        let schema = match self {
            Self::Object(schema) => schema,
            Self::Opaque(kind) => {
                return Err(other(format!("merging an object in json but data type is not struct, instead is: {kind}")));
            }
        };
        let Some(field) = schema.field(name) else {
            let short = schema.name.rsplit('.').next().unwrap_or_default();
            return Err(other(format!("unable to find api field in struct {short} for the json field {name:?}")));
        };
        let merge_key = field.patch_merge_key.as_deref().unwrap_or_default();
        Ok((&field.kind, FieldMeta { shape: shape_of(&field.kind), merge: field.patch_merge, replace: field.patch_replace, merge_key }))
    }

    /// The same for a list: the shape is that of its items.
    fn list_field(self, name: &str) -> Result<FieldMeta<'s>, MergeError> {
        let (kind, meta) = self.field(name)?;
        match kind.items() {
            Some(items) if items.items().is_some() => Err(other("unexpected slice of slice")),
            Some(items) => Ok(FieldMeta { shape: shape_of(items), ..meta }),
            None if matches!(kind, FieldType::Bytes) => Ok(FieldMeta { shape: Shape::Opaque("uint8"), ..meta }),
            None => Err(other(format!("expected slice or array type, but got: {}", self.name()))),
        }
    }
}

/// Merges a patch (an object, or null for none) into an object of the schema.
pub fn merge(original: Value, patch: Value, schema: &Schema) -> Result<Value, MergeError> {
    let original = match original {
        Value::Object(map) => map,
        _ => Map::new(),
    };
    match patch {
        Value::Object(mut patch) => {
            whole_numbers(&mut patch);
            merge_map(original, patch, Shape::Object(schema)).map(Value::Object)
        }
        _ => Ok(Value::Object(original)),
    }
}

/// The converter behind the merge takes `1.0` for an integer.
fn whole_numbers(map: &mut Map<String, Value>) {
    fn visit(value: &mut Value) {
        match value {
            Value::Object(map) => map.values_mut().for_each(visit),
            Value::Array(items) => items.iter_mut().for_each(visit),
            Value::Number(number) if number.is_f64() => {
                *value = crate::codec::node::float(number.as_f64().unwrap_or_default());
            }
            _ => {}
        }
    }
    map.values_mut().for_each(visit);
}

type Object = Map<String, Value>;

fn merge_map(mut original: Object, mut patch: Object, shape: Shape<'_>) -> Result<Object, MergeError> {
    if let Some(directive) = patch.get(PATCH) {
        return match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                Ok(patch)
            }
            Some("delete") => Ok(Map::new()),
            _ => Err(unknown_directive(directive, &Value::Object(patch.clone()))),
        };
    }
    retain_keys(&mut original, &mut patch)?;
    set_element_orders(&mut original, &mut patch, shape)?;
    for (key, value) in patch {
        let deletes = key.starts_with(DELETE_FROM);
        let key = if deletes { directive_key(&key, DELETE_FROM).ok_or(BAD_PRIMITIVE_LIST)? } else { key };
        if value.is_null() {
            original.remove(&key);
            continue;
        }
        let merged = match (original.remove(&key), value) {
            (Some(Value::Object(current)), Value::Object(patch)) => {
                let (_, meta) = shape.field(&key)?;
                Some(Value::Object(if meta.replace { patch } else { merge_map(current, patch, meta.shape)? }))
            }
            (Some(Value::Array(current)), Value::Array(patch)) => {
                let meta = shape.list_field(&key)?;
                Some(Value::Array(merge_list_field(current, patch, &meta, deletes)?))
            }
            // A list of deletions finds nothing to delete from.
            (current, _) if deletes => current,
            (_, mut value) => {
                discard_nulls(&mut value);
                without_directives(value)
            }
        };
        if let Some(merged) = merged {
            original.insert(key, merged);
        }
    }
    Ok(original)
}

fn unknown_directive(directive: &Value, patch: &Value) -> MergeError {
    other(format!("unknown patch type: {} in map: {}", show(directive), show(patch)))
}

fn directive_key(key: &str, prefix: &str) -> Option<String> {
    let (found, key) = key.split_once('/')?;
    (found == prefix).then(|| key.to_owned())
}

/// `$retainKeys`: what is not listed goes, and what is patched must be listed.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<(), MergeError> {
    let Some(listed) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let Value::Array(listed) = listed else { return Err(BAD_RETAIN_KEYS) };
    let listed: HashSet<&str> = listed.iter().filter_map(Value::as_str).collect();
    let directive = |key: &str| key.starts_with(DELETE_FROM) || key.starts_with(ELEMENT_ORDER);
    if patch.iter().any(|(key, value)| !value.is_null() && !directive(key) && !listed.contains(key.as_str())) {
        return Err(BAD_RETAIN_KEYS);
    }
    original.retain(|key, _| listed.contains(key.as_str()));
    Ok(())
}

/// `$setElementOrder/…`: merges the lists that an order is given for, and puts them in it.
fn set_element_orders(original: &mut Object, patch: &mut Object, shape: Shape<'_>) -> Result<(), MergeError> {
    let orders: Vec<String> = patch.keys().filter(|key| key.starts_with(ELEMENT_ORDER)).cloned().collect();
    for directive in orders {
        let order = match patch.remove(&directive).unwrap_or_default() {
            Value::Array(order) => order,
            found => return Err(bad_type("[]interface {}", &found)),
        };
        let key = directive_key(&directive, ELEMENT_ORDER).ok_or(BAD_ELEMENT_ORDER)?;
        let list = |object: &Object| match object.get(&key) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items.clone())),
            Some(found) => Err(bad_type("[]interface {}", found)),
        };
        let (current, patched) = (list(original)?, list(patch)?);
        let meta = shape.list_field(&key)?;
        check_order(patched.as_deref().unwrap_or_default(), &order, meta.merge_key)?;
        let merged = match (&current, &patched) {
            (None, None) => continue,
            (Some(current), None) => current.clone(),
            (None, Some(patched)) => match without_directives(Value::Array(patched.clone())) {
                Some(Value::Array(items)) => items,
                _ => continue,
            },
            (Some(current), Some(patched)) => merge_list_field(current.clone(), patched.clone(), &meta, false)?,
        };
        let (current, patched) = (current.unwrap_or_default(), patched.unwrap_or_default());
        let maps = element_kind(&[&current, &patched])?;
        let before = if maps && meta.merge { order_left_behind(current, &patched, meta.merge_key) } else { current };
        let ordered = weave(merged, &order, &order, &before, meta.merge_key, maps)?;
        original.insert(key.clone(), Value::Array(ordered));
        patch.remove(&key);
    }
    Ok(())
}

/// The order in which a list stood, as upstream remembers it: it deletes in place, so that what the patch adds moves up into
/// the places of what it deletes. Seen whenever one item of a list takes another's place.
fn order_left_behind(mut current: Vec<Value>, patched: &[Value], merge_key: &str) -> Vec<Value> {
    let length = current.len();
    let key = |item: &Value| item.get(merge_key).map(Value::to_string);
    let directive = |item: &Value| item.get(PATCH).and_then(Value::as_str).map(str::to_owned);
    let deleted: HashSet<_> = patched.iter().filter(|item| directive(item).as_deref() == Some("delete")).map(key).collect();
    if deleted.is_empty() {
        return current;
    }
    current.retain(|item| !deleted.contains(&key(item)));
    if !patched.iter().any(|item| directive(item).as_deref() == Some("replace")) {
        let mut known: HashSet<_> = current.iter().map(key).collect();
        let added = patched.iter().filter(|item| directive(item).is_none() && known.insert(key(item)));
        current.extend(added.take(length - current.len()).cloned().collect::<Vec<_>>());
    }
    current
}

/// The items of the patch must stand in the order that is given.
fn check_order(patched: &[Value], order: &[Value], merge_key: &str) -> Result<(), MergeError> {
    if patched.is_empty() || order.is_empty() {
        return Ok(());
    }
    if let Some(found) = patched.iter().find(|item| !merge_key.is_empty() && !item.is_object()) {
        return Err(bad_type("map[string]interface {}", found));
    }
    let deletes = |item: &&Value| !merge_key.is_empty() && item.get(PATCH).and_then(Value::as_str) == Some("delete");
    let mut items = patched.iter().filter(|item| !deletes(item)).peekable();
    let mut order_rest = order.iter();
    while let Some(item) = items.peek() {
        if order_rest.len() == 0 {
            let (patched, order) = (show(&patched.to_vec().into()), show(&order.to_vec().into()));
            return Err(other(format!("The order in patch list:\n{patched}\n doesn't match $setElementOrder list:\n{order}\n")));
        }
        if item.get(PATCH).is_some() {
            items.next();
            continue;
        }
        let Some(next) = order_rest.next() else { continue };
        if identity(item, merge_key)? == identity(next, merge_key)? {
            items.next();
        }
    }
    Ok(())
}

/// What tells an item apart: the value of its merge key, or itself.
fn identity<'v>(item: &'v Value, merge_key: &str) -> Result<&'v Value, MergeError> {
    match item {
        item if merge_key.is_empty() => Ok(item),
        Value::Object(map) => map.get(merge_key).ok_or_else(|| no_merge_key(item, merge_key)),
        item => Err(bad_type("map[string]interface {}", item)),
    }
}

fn merge_list_field(current: Vec<Value>, patch: Vec<Value>, meta: &FieldMeta<'_>, deletes: bool) -> Result<Vec<Value>, MergeError> {
    if meta.merge || deletes { merge_list(current, patch, meta, deletes) } else { Ok(patch) }
}

fn merge_list(current: Vec<Value>, patch: Vec<Value>, meta: &FieldMeta<'_>, deletes: bool) -> Result<Vec<Value>, MergeError> {
    if current.is_empty() && patch.is_empty() {
        return Ok(current);
    }
    let maps = element_kind(&[&current, &patch])?;
    if !maps {
        if deletes {
            let gone: HashSet<String> = patch.iter().map(Value::to_string).collect();
            return Ok(current.into_iter().filter(|item| !gone.contains(&item.to_string())).collect());
        }
        let before = current.clone();
        let both = current.into_iter().chain(patch.iter().cloned()).collect();
        return weave(deduplicate(both), &patch, &patch, &before, meta.merge_key, maps);
    }
    if meta.merge_key.is_empty() {
        return Err(other(format!("cannot merge lists without merge key for {}", meta.shape.name())));
    }
    let (current, patch) = special_items(current, patch, meta.merge_key)?;
    let before = current.clone();
    let merged = merge_items(current, &patch, meta)?;
    weave(merged, &patch, &patch, &before, meta.merge_key, maps)
}

/// Whether the items are maps; all must be of one type, and no lists.
fn element_kind(lists: &[&[Value]]) -> Result<bool, MergeError> {
    let mut items = lists.iter().flat_map(|list| list.iter());
    let first = items.next().ok_or_else(|| other("no elements in any of the given slices"))?;
    if first.is_array() {
        return Err(MergeError::ListOfLists);
    }
    if items.any(|item| type_name(item) != type_name(first)) {
        let shown: Vec<String> = lists.iter().map(|list| show(&list.to_vec().into())).collect();
        return Err(other(format!("list element types are not identical: [{}]", shown.join(" "))));
    }
    Ok(first.is_object())
}

/// Drops repeated scalars: the first of each stays. The order is settled by weaving.
fn deduplicate(items: Vec<Value>) -> Vec<Value> {
    let mut seen = HashSet::new();
    items.into_iter().filter(|item| seen.insert(item.to_string())).collect()
}

/// Items with `$patch`: deletes what they name, or says that the patch replaces the list.
fn special_items(mut current: Vec<Value>, patch: Vec<Value>, merge_key: &str) -> Result<(Vec<Value>, Vec<Value>), MergeError> {
    let mut ordinary = Vec::with_capacity(patch.len());
    let mut deleted = HashSet::new();
    let mut replaces = false;
    for item in patch {
        let Some(directive) = item.get(PATCH) else {
            ordinary.push(item);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let key = item.get(merge_key).ok_or_else(|| no_merge_key(&item, merge_key))?;
                deleted.insert(key.to_string());
            }
            Some("replace") => replaces = true,
            Some("merge") => return Err(other("merging lists cannot yet be specified in the patch")),
            _ => return Err(unknown_directive(directive, &item)),
        }
    }
    if replaces {
        return Ok((ordinary, Vec::new()));
    }
    if !deleted.is_empty() {
        current.retain(|item| item.get(merge_key).is_none_or(|key| !deleted.contains(&key.to_string())));
    }
    Ok((current, ordinary))
}

fn merge_items(mut current: Vec<Value>, patch: &[Value], meta: &FieldMeta<'_>) -> Result<Vec<Value>, MergeError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    for (i, item) in current.iter().enumerate() {
        if let Some(key) = item.get(meta.merge_key) {
            places.entry(key.to_string()).or_insert(i);
        }
    }
    for item in patch {
        let key = item.get(meta.merge_key).ok_or_else(|| no_merge_key(item, meta.merge_key))?.to_string();
        match (places.get(&key), item) {
            (Some(&place), Value::Object(patch)) => {
                if let Value::Object(map) = current[place].take() {
                    current[place] = Value::Object(merge_map(map, patch.clone(), meta.shape)?);
                }
            }
            _ => {
                places.insert(key, current.len());
                current.push(item.clone());
            }
        }
    }
    Ok(current)
}

/// Splits the merged items into those that the patch names and the others, sorts each by its own order, and weaves the two
/// by where they stood before.
fn weave(
    merged: Vec<Value>,
    named: &[Value],
    order: &[Value],
    before: &[Value],
    merge_key: &str,
    maps: bool,
) -> Result<Vec<Value>, MergeError> {
    let id = |item: &Value| identity(item, if maps { merge_key } else { "" }).map(Value::to_string);
    let places = |list: &[Value]| {
        let mut places: HashMap<String, usize> = HashMap::new();
        for (i, item) in list.iter().enumerate() {
            places.entry(id(item)?).or_insert(i);
        }
        Ok::<_, MergeError>(places)
    };
    let named: HashSet<String> = named.iter().map(id).collect::<Result<_, _>>()?;
    let (order, before) = (places(order)?, places(before)?);
    let (mut of_patch, mut others) = (Vec::new(), Vec::new());
    for item in merged {
        let id = id(&item)?;
        if named.contains(&id) { of_patch.push((id, item)) } else { others.push((id, item)) }
    }
    of_patch.sort_by_key(|(id, _)| order.get(id).copied().unwrap_or(0));
    others.sort_by_key(|(id, _)| before.get(id).copied().unwrap_or(0));
    let mut woven = Vec::with_capacity(of_patch.len() + others.len());
    let (mut of_patch, mut others) = (of_patch.into_iter().peekable(), others.into_iter().peekable());
    loop {
        let from_others = match (of_patch.peek(), others.peek()) {
            (None, None) => return Ok(woven),
            (None, Some(_)) => true,
            (Some(_), None) => false,
            (Some((patch, _)), Some((other, _))) => match (before.get(other), before.get(patch)) {
                (Some(other), Some(patch)) => other < patch,
                _ => false,
            },
        };
        woven.extend(if from_others { others.next() } else { of_patch.next() }.map(|(_, item)| item));
    }
}

fn discard_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, value| !value.is_null());
            map.values_mut().for_each(discard_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(discard_nulls),
        _ => {}
    }
}

/// What is left of a new value without its directives; an object with `$patch` in it goes as a whole.
fn without_directives(value: Value) -> Option<Value> {
    match value {
        Value::Object(map) if map.contains_key(PATCH) => None,
        Value::Object(map) => {
            Some(Value::Object(map.into_iter().filter_map(|(key, value)| Some((key, without_directives(value)?))).collect()))
        }
        Value::Array(items) => Some(Value::Array(items.into_iter().filter_map(without_directives).collect())),
        value => Some(value),
    }
}
