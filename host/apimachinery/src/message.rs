//! How objects are written in Kubernetes' protobuf: which number each field of a [`Schema`](crate::schema::Schema) has. The numbers are
//! upstream's `generated.proto`; [`codec::protobuf`](crate::codec::protobuf) reads and writes by them.

/// How an object type is written: the numbers of its fields.
#[derive(Debug)]
pub struct Message {
    /// Go's name of the type, for messages of errors.
    pub name: &'static str,
    /// Sorted by number.
    pub parts: &'static [Part],
}

/// One number of a message.
#[derive(Debug)]
pub struct Part {
    /// The number.
    pub number: u32,
    /// Go's field is no pointer: it is written even where it is empty, and its zero value says nothing.
    pub always: bool,
    /// What is under the number.
    pub content: Content,
}

/// What a number stands for.
#[derive(Debug)]
pub enum Content {
    /// A field of the schema, by its place there.
    Field(u16, Form),
    /// A message whose fields are the schema's own: Go embeds the type, and JSON does not show that.
    Embedded(&'static Message),
}

/// How a field is written where its type does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// As its type says.
    Typed,
    /// A list inside of a message of its own.
    Items,
    /// Any JSON, as text: `RawExtension`, `JSON`, `FieldsV1`.
    Raw,
    /// `JSONSchemaPropsOrArray`: the schema itself, or a list of it.
    SchemaOrArray,
    /// `JSONSchemaPropsOrBool`.
    SchemaOrBool,
    /// `JSONSchemaPropsOrStringArray`.
    SchemaOrStrings,
}
