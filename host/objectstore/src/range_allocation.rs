//! `RangeAllocation`: which numbers of a range are given out, in one value for the whole cluster. Upstream keeps the ports of nodes that
//! Services have in one, and so do we, so that both give out of the same range on one etcd. It is stored and never served.

use std::borrow::Cow;
use std::sync::LazyLock;

use api::tables;
use apimachinery::GroupVersionKind;
use apimachinery::codec::protobuf;
use apimachinery::codec::{self, MediaType};
use apimachinery::message::{Content, Form, Message, Part};
use apimachinery::schema::{Field, FieldType, Schema, SchemaRef};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use crate::codec::{DecodeError, EncodeError, StorageMediaType};
use crate::store::ObjectStore;

const KIND: GroupVersionKind = GroupVersionKind::of("", "v1", "RangeAllocation");

const fn part(number: u32, field: u16) -> Part {
    Part { number, always: true, content: Content::Field(field, Form::Typed) }
}

static MESSAGE: Message = Message { name: "RangeAllocation", parts: &[part(1, 3), part(2, 4), part(3, 1)] };

/// The fields, sorted by name; [`MESSAGE`] names them by their place.
static SCHEMA: LazyLock<Schema> = LazyLock::new(|| {
    let metadata = tables::schema_named("io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta").expect("every kind has metadata");
    Schema {
        name: Cow::Borrowed("io.k8s.api.core.v1.RangeAllocation"),
        fields: Cow::Owned(vec![
            Field::of("apiVersion", FieldType::String),
            Field::of("data", FieldType::Bytes),
            Field::of("kind", FieldType::String),
            Field::of("metadata", FieldType::Object(metadata)),
            Field::of("range", FieldType::String),
        ]),
        atomic: false,
        preserve_unknown: false,
        message: Some(&MESSAGE),
    }
});

/// Which numbers of a range are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RangeAllocation {
    /// The range as its owner writes it: `30000-32767`.
    pub range: String,
    /// A number, most significant byte first, whose bits say which offsets into the range are taken: Go's `big.Int`.
    bits: Vec<u8>,
}

impl RangeAllocation {
    /// A range of which nothing is taken.
    pub fn new(range: impl Into<String>) -> Self {
        Self { range: range.into(), bits: Vec::new() }
    }

    /// Whether an offset is taken.
    pub fn has(&self, offset: usize) -> bool {
        self.place(offset).is_some_and(|at| self.bits[at] & bit(offset) != 0)
    }

    /// Takes an offset.
    pub fn take(&mut self, offset: usize) {
        let missing = (offset / 8 + 1).saturating_sub(self.bits.len());
        self.bits.splice(0..0, std::iter::repeat_n(0, missing));
        if let Some(at) = self.place(offset) {
            self.bits[at] |= bit(offset);
        }
    }

    /// Gives an offset back.
    pub fn release(&mut self, offset: usize) {
        if let Some(at) = self.place(offset) {
            self.bits[at] &= !bit(offset);
        }
        let leading = self.bits.iter().take_while(|byte| **byte == 0).count();
        self.bits.drain(..leading);
    }

    /// The offsets that are taken, in order.
    pub fn taken(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.bits.len() * 8).filter(|offset| self.has(*offset))
    }

    fn place(&self, offset: usize) -> Option<usize> {
        self.bits.len().checked_sub(offset / 8 + 1)
    }
}

fn bit(offset: usize) -> u8 {
    1 << (offset % 8)
}

impl ObjectStore {
    /// The key of a range: `servicenodeports`.
    pub fn range_allocation_key(&self, name: &str) -> String {
        format!("{}ranges/{name}", self.root())
    }

    /// Reads the value of a range, as either form has it.
    ///
    /// # Errors
    /// It is none.
    pub fn decode_range_allocation(&self, key: &str, value: &Bytes) -> Result<RangeAllocation, DecodeError> {
        let value = self.transformer().open(key, value)?.value;
        let media_type = if value.starts_with(&protobuf::PREFIX) { MediaType::Protobuf } else { MediaType::Json };
        let schema_of = |kind: &GroupVersionKind| (*kind == KIND).then(|| SchemaRef::Static(&SCHEMA));
        let (_, decoded) =
            codec::decode_any(&value, media_type, &KIND, &schema_of).map_err(|error| DecodeError::Unreadable(error.message))?;
        let text = |name: &str| decoded.value.get(name).and_then(Value::as_str).unwrap_or_default();
        let bits = STANDARD.decode(text("data")).map_err(|error| DecodeError::Unreadable(error.to_string()))?;
        let mut allocation = RangeAllocation { range: text("range").to_owned(), bits };
        let leading = allocation.bits.iter().take_while(|byte| **byte == 0).count();
        allocation.bits.drain(..leading);
        Ok(allocation)
    }

    /// The value of a range as it is written.
    ///
    /// # Errors
    /// It cannot be sealed.
    pub fn encode_range_allocation(&self, key: &str, allocation: &RangeAllocation) -> Result<Bytes, EncodeError> {
        let object = json!({
            "kind": KIND.kind,
            "apiVersion": KIND.api_version(),
            "metadata": {},
            "range": allocation.range,
            "data": STANDARD.encode(&allocation.bits),
        });
        let value = match self.media_type() {
            StorageMediaType::Json => object.to_string().into(),
            StorageMediaType::Protobuf => protobuf::enveloped(&KIND.api_version(), &KIND.kind, &protobuf::encode(&object, &SCHEMA)?).into(),
        };
        Ok(self.transformer().seal(key, value)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_those_of_gos_number() {
        let mut allocation = RangeAllocation::new("30000-32767");
        for offset in [0, 9, 2767] {
            allocation.take(offset);
        }
        assert_eq!(allocation.taken().collect::<Vec<_>>(), [0, 9, 2767]);
        allocation.release(2767);
        allocation.release(5000);
        assert_eq!((allocation.bits.as_slice(), allocation.has(9), allocation.has(2767)), (&[2, 1][..], true, false));
        allocation.release(9);
        allocation.release(0);
        assert_eq!(allocation, RangeAllocation::new("30000-32767"));
    }
}
