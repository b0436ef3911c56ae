//! OpenAPI v2 in protobuf, read again by a reader of our own that knows nothing but the wire.

#[path = "../build/openapi/gnostic.rs"]
mod gnostic;

use serde_json::{Value, json};
use wasmgate_api::openapi;

/// The next varint.
fn varint(bytes: &mut &[u8]) -> u64 {
    let end = bytes.iter().position(|byte| *byte < 0x80).expect("a varint ends");
    let (varint, rest) = bytes.split_at(end + 1);
    *bytes = rest;
    varint.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}

/// The next field: its number, its wire type, and its bytes, or its value where it is a number.
fn next<'a>(bytes: &mut &'a [u8]) -> (u64, u64, &'a [u8], u64) {
    let tag = varint(bytes);
    let (length, value) = match tag & 7 {
        0 => (0, varint(bytes)),
        1 => (8, u64::from_le_bytes(bytes[..8].try_into().expect("eight bytes"))),
        2 => (varint(bytes) as usize, 0),
        wire => panic!("wire type {wire}"),
    };
    let (content, rest) = bytes.split_at(length);
    *bytes = rest;
    (tag >> 3, tag & 7, content, value)
}

/// All fields of the messages that a way of numbers leads to.
fn at<'a>(document: &'a [u8], way: &[u64]) -> Vec<&'a [u8]> {
    let Some((first, rest)) = way.split_first() else { return vec![document] };
    let mut bytes = document;
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (number, _, content, _) = next(&mut bytes);
        if number == *first {
            found.extend(at(content, rest));
        }
    }
    found
}

fn texts<'a>(document: &'a [u8], way: &[u64]) -> Vec<&'a str> {
    at(document, way).into_iter().map(|text| std::str::from_utf8(text).expect("text")).collect()
}

/// The numbers of a message's fields, and the values of those that are numbers.
fn numbers(mut message: &[u8]) -> Vec<(u64, u64)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let (number, _, _, value) = next(&mut message);
        found.push((number, value));
    }
    found
}

fn encode(document: Value) -> Vec<u8> {
    gnostic::encode(&document).unwrap_or_else(|error| panic!("{document}: {error}"))
}

/// A document with one definition, `Thing`, and the bytes of its schema.
fn schema(schema: Value) -> Vec<u8> {
    let document = encode(json!({ "definitions": { "Thing": schema } }));
    assert_eq!(texts(&document, &[9, 1, 1]), ["Thing"]);
    at(&document, &[9, 1, 2]).concat()
}

#[test]
fn a_document_byte_by_byte() {
    let document = encode(json!({ "swagger": "2.0", "info": { "title": "t", "version": "" } }));
    assert_eq!(document, b"\x0a\x032.0\x12\x03\x0a\x01t");
}

#[test]
fn schemas() {
    let bytes = schema(json!({
        "$ref": "#/definitions/Other", "type": "object", "description": "d", "required": ["a", "b"], "default": {"a": [1]},
        "maxLength": 300, "minimum": -1.5, "maximum": 0, "uniqueItems": true, "readOnly": false, "enum": ["x", null],
        "items": {"type": "string"}, "allOf": [{"title": "one"}, {"title": "two"}], "x-kubernetes-list-type": "map",
        "properties": {"*": {"format": "f"}, "type": {"type": ["string", "null"]}, "x-y": {}},
    }));
    let expected = [1, 4, 5, 9, 11, 16, 19, 19, 20, 20, 22, 23, 24, 24, 25, 31];
    assert_eq!(numbers(&bytes).iter().map(|(number, _)| *number).collect::<Vec<_>>(), expected);
    assert_eq!(texts(&bytes, &[1]), ["#/definitions/Other"]);
    assert_eq!(texts(&bytes, &[5, 2]), ["{\"a\":[1]}\n"]);
    assert_eq!(numbers(&bytes)[3], (9, (-1.5f64).to_bits()));
    assert_eq!(numbers(&bytes)[4], (11, 300));
    assert_eq!(numbers(&bytes)[5], (16, 1));
    assert_eq!(texts(&bytes, &[19]), ["a", "b"]);
    assert_eq!(texts(&bytes, &[20, 2]), ["\"x\"\n", "null\n"]);
    assert_eq!(texts(&bytes, &[22, 1]), ["object"]);
    assert_eq!(texts(&bytes, &[23, 1, 22, 1]), ["string"]);
    assert_eq!(texts(&bytes, &[24, 3]), ["one", "two"]);
    assert_eq!(texts(&bytes, &[25, 1, 1]), ["*", "type", "x-y"]);
    assert_eq!(texts(&bytes, &[25, 1, 2, 22, 1]), ["string", "null"]);
    assert_eq!(at(&bytes, &[25, 1, 2]).len(), 3, "a property without anything is there all the same");
    assert_eq!((texts(&bytes, &[31, 1]), texts(&bytes, &[31, 2, 2])), (vec!["x-kubernetes-list-type"], vec!["\"map\"\n"]));
}

#[test]
fn additional_properties_are_a_schema_or_a_boolean() {
    for (given, expected) in [(json!(false), (2, 0)), (json!(true), (2, 1)), (json!({}), (1, 0))] {
        let bytes = schema(json!({ "additionalProperties": given }));
        assert_eq!(numbers(&at(&bytes, &[21]).concat()), [expected], "{given}");
    }
}

#[test]
fn paths_and_their_choices() {
    let document = encode(json!({ "paths": { "/things/{name}": {
        "parameters": [{"$ref": "#/parameters/a"}, {"in": "path", "name": "n", "type": "string", "required": true}],
        "post": {
            "operationId": "makeThing", "schemes": ["https"], "consumes": ["*/*"], "x-kubernetes-action": "post",
            "parameters": [{"in": "body", "name": "b", "schema": {"$ref": "#/definitions/Thing"}}, {"in": "query", "name": "q", "type": "integer"}],
            "responses": {
                "200": {"description": "OK", "schema": {"$ref": "#/definitions/Thing"}},
                "default": {"$ref": "#/responses/r"},
            },
        },
    } } }));
    let paths = at(&document, &[8]).concat();
    assert_eq!(texts(&paths, &[2, 1]), ["/things/{name}"]);
    let item = at(&paths, &[2, 2]).concat();
    assert_eq!(texts(&item, &[9, 2, 1]), ["#/parameters/a"]);
    assert_eq!(texts(&item, &[9, 1, 2, 4, 4]), ["n"]);
    let post = at(&item, &[4]).concat();
    assert_eq!(texts(&post, &[5]), ["makeThing"]);
    assert_eq!((texts(&post, &[7]), texts(&post, &[10])), (vec!["*/*"], vec!["https"]));
    assert_eq!((texts(&post, &[13, 1]), texts(&post, &[13, 2, 2])), (vec!["x-kubernetes-action"], vec!["\"post\"\n"]));
    assert_eq!(texts(&post, &[8, 1, 1, 5, 1]), ["#/definitions/Thing"]);
    assert_eq!(texts(&post, &[8, 1, 2, 3, 6]), ["integer"]);
    assert_eq!(texts(&post, &[9, 1, 1]), ["200", "default"]);
    assert_eq!(texts(&post, &[9, 1, 2, 1, 2, 1, 1]), ["#/definitions/Thing"]);
    assert_eq!(texts(&post, &[9, 1, 2, 2, 1]), ["#/responses/r"]);
}

#[test]
fn security() {
    let document = encode(json!({
        "security": [{"Token": []}, {"Scoped": ["a", "b"]}],
        "securityDefinitions": {
            "Scoped": {"type": "oauth2", "flow": "implicit", "scopes": {"a": "reads"}},
            "Token": {"type": "apiKey", "name": "authorization", "in": "header"},
        },
    }));
    assert_eq!(texts(&document, &[12, 1, 1]), ["Token", "Scoped"]);
    assert_eq!(texts(&document, &[12, 1, 2, 1]), ["a", "b"]);
    assert_eq!(texts(&document, &[13, 1, 2, 3, 3, 1, 2]), ["reads"]);
    assert_eq!(texts(&document, &[13, 1, 2, 2, 2]), ["authorization"]);
}

#[test]
fn nothing_is_left_out_in_silence() {
    for (document, expected) in [
        (json!({ "openapi": "3.0.0" }), "/openapi: no such field"),
        (json!({ "definitions": { "A": { "properties": { "b": { "oneOf": [] } } } } }), "/definitions/A/properties/b/oneOf: no such field"),
        (json!({ "definitions": { "A": { "maxLength": "long" } } }), "/definitions/A/maxLength: no integer"),
        (json!({ "definitions": { "A": { "pattern": false } } }), "/definitions/A/pattern: no string"),
        (json!({ "parameters": { "a": { "in": "cookie" } } }), "/parameters/a: of no known type"),
        (json!({ "tags": {} }), "/tags: no list"),
    ] {
        assert_eq!(gnostic::encode(&document), Err(expected.to_owned()));
    }
}

#[test]
fn the_whole_document_is_the_same_in_both_encodings() {
    let json: Value = serde_json::from_slice(&openapi::v2().inflate()).expect("JSON");
    let protobuf = openapi::v2_protobuf();
    assert_eq!(protobuf.hash, openapi::v2().hash);
    let document = protobuf.inflate();
    assert_eq!(document.len(), protobuf.size_bytes);
    let keys = |of: &str| json[of].as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    assert_eq!(texts(&document, &[8, 2, 1]), keys("paths"));
    assert_eq!(texts(&document, &[9, 1, 1]), keys("definitions"));
    assert_eq!(texts(&document, &[10, 1, 1]), keys("parameters"));
    let kinds =
        json["definitions"].as_object().expect("an object").values().filter_map(|schema| schema.get("x-kubernetes-group-version-kind"));
    let read = at(&document, &[9, 1, 2, 31]).into_iter().filter(|entry| texts(entry, &[1]) == ["x-kubernetes-group-version-kind"]);
    let read: Vec<Value> = read.map(|entry| serde_json::from_slice(&at(entry, &[2, 2]).concat()).expect("JSON")).collect();
    assert!(kinds.eq(&read));
}
