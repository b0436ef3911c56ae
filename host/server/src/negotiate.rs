//! What a client can read and what it sent: `Accept` and `Content-Type` by upstream's rules
//! (`pkg/endpoints/handlers/negotiation`, munnerz/goautoneg, and go-restful's check of a route's types).
//!
//! Pure functions of header values.

use apimachinery::query::Query;
use apimachinery::status::StatusDetails;
use apimachinery::{Status, StatusReason};

/// A serialisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `application/json`.
    Json,
    /// `application/yaml`.
    Yaml,
    /// `application/vnd.kubernetes.protobuf`.
    Protobuf,
}

impl MediaType {
    /// In the order of preference for `*/*`, which is also the order of messages.
    pub const ALL: [Self; 3] = [Self::Json, Self::Yaml, Self::Protobuf];
    /// Names of [`Self::ALL`].
    pub const NAMES: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
    /// Names of what can be a stream of events.
    pub const STREAM_NAMES: [&str; 2] = ["application/json;stream=watch", "application/vnd.kubernetes.protobuf;stream=watch"];

    /// `application/json`.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize]
    }

    fn subtype(self) -> &'static str {
        &self.name()["application/".len()..]
    }

    fn has_stream(self) -> bool {
        self != Self::Yaml
    }
}

/// `as`, `v` and `g`: another kind is wanted in place of the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Convert {
    /// `meta.k8s.io`.
    pub group: String,
    /// `v1`.
    pub version: String,
    /// `Table`.
    pub kind: String,
}

impl Convert {
    fn is_metadata(&self) -> bool {
        self.group == "meta.k8s.io" && (self.version == "v1" || self.version == "v1beta1")
    }
}

/// What the negotiation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// How to write it.
    pub media_type: MediaType,
    /// `pretty=1` among the type's parameters. See [`is_pretty`] for the query and the browsers.
    pub pretty: bool,
    /// The other kind.
    pub convert: Option<Convert>,
    /// `profile`, of discovery.
    pub profile: String,
}

impl Accepted {
    /// JSON, as without any `Accept`.
    pub const JSON: Self = Self { media_type: MediaType::Json, pretty: false, convert: None, profile: String::new() };

    /// The content type of a converted object where discovery says it: `application/json;g=…;v=…;as=…`.
    pub fn content_type_with_kind(&self) -> String {
        let mut name = self.media_type.name().to_owned();
        if let Some(Convert { group, version, kind }) = &self.convert {
            for (key, value) in [(";g=", group), (";v=", version), (";as=", kind)] {
                if !value.is_empty() {
                    name.push_str(key);
                    name.push_str(value);
                }
            }
        }
        name
    }
}

/// Which conversions an endpoint serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// None: errors, plain discovery, everything that is no resource.
    Plain,
    /// A resource: Table, PartialObjectMetadata and its list. The version is the API group's, for `sv`.
    Resource,
    /// A resource that has no table (reviews, bindings, most subresources): the same without Table.
    Tableless,
    /// A custom resource: as a resource, without protobuf for the object itself.
    CustomResource,
    /// `/api` and `/apis` where aggregated discovery is asked for, and nothing else.
    AggregatedDiscovery,
}

impl Endpoint {
    fn allows(self, media_type: MediaType, convert: Option<&Convert>) -> bool {
        match (self, convert) {
            (Self::Plain | Self::Resource | Self::Tableless, None) => true,
            (Self::Plain, Some(_)) | (Self::AggregatedDiscovery, None) => false,
            (Self::CustomResource, None) => media_type != MediaType::Protobuf,
            (Self::Resource | Self::Tableless | Self::CustomResource, Some(convert)) => {
                convert.is_metadata()
                    && match convert.kind.as_str() {
                        "Table" => media_type != MediaType::Protobuf && self != Self::Tableless,
                        "PartialObjectMetadata" | "PartialObjectMetadataList" => true,
                        _ => false,
                    }
            }
            (Self::AggregatedDiscovery, Some(convert)) => {
                // As protobuf upstream writes it, too; every client that asks takes JSON.
                media_type != MediaType::Protobuf
                    && convert.group == "apidiscovery.k8s.io"
                    && convert.version == "v2"
                    && convert.kind == "APIGroupDiscoveryList"
            }
        }
    }
}

/// Picks how to answer, or `None` where nothing that the client takes can be written.
pub fn negotiate(accept: Option<&str>, endpoint: Endpoint) -> Option<Accepted> {
    let accept = accept.unwrap_or_default();
    if accept.is_empty() {
        // Nobody gets the aggregated form who does not ask for it.
        return (endpoint != Endpoint::AggregatedDiscovery).then_some(Accepted::JSON);
    }
    parse_accept(accept)
        .iter()
        .find_map(|clause| MediaType::ALL.into_iter().filter(|m| clause.matches(*m)).find_map(|m| clause.options(m, endpoint)))
}

/// [`negotiate`], with upstream's 406.
///
/// # Errors
/// 406 where nothing that is accepted can be written.
pub fn accept(accept: Option<&str>, endpoint: Endpoint) -> Result<Accepted, Status> {
    negotiate(accept, endpoint).ok_or_else(|| Status::not_acceptable(&MediaType::NAMES))
}

/// The same for a stream of events, which YAML cannot be.
///
/// # Errors
/// As [`accept`].
pub fn accept_stream(accept: Option<&str>, endpoint: Endpoint) -> Result<Accepted, Status> {
    negotiate(accept, endpoint).filter(|a| a.media_type.has_stream()).ok_or_else(|| Status::not_acceptable(&MediaType::STREAM_NAMES))
}

/// kube-openapi's choice among the media types of a document: by clause the first that it names. Parameters other than `q` mean nothing.
pub fn first_of(accept: Option<&str>, offered: &[&'static str]) -> Option<&'static str> {
    let accept = accept.filter(|accept| !accept.is_empty()).unwrap_or("*/*");
    let names = |clause: &Clause<'_>, offer: &str| {
        let (kind, subtype) = offer.split_once('/').expect("a media type");
        [(clause.kind, kind), (clause.subtype, subtype)].iter().all(|(asked, has)| asked == has || *asked == "*")
    };
    parse_accept(accept).iter().find_map(|clause| offered.iter().copied().find(|offer| names(clause, offer)))
}

/// Whether a person reads the answer: the query's `pretty`, else what is known of the client.
pub fn is_pretty(raw_query: &str, user_agent: &str) -> bool {
    if raw_query.contains("pretty")
        && let Some(value) = Query::parse(raw_query).get("pretty").filter(|value| !value.is_empty())
    {
        return matches!(value, "1" | "t" | "T" | "TRUE" | "true" | "True");
    }
    ["curl", "Wget", "Mozilla/5.0"].iter().any(|prefix| user_agent.starts_with(prefix))
}

/// Whether gzip may be used: upstream looks for `gzip` among the first `Accept-Encoding`'s comma-separated names, and not at qualities.
pub fn accepts_gzip(accept_encoding: Option<&str>) -> bool {
    // `gzip;q=0` is thereby no match either.
    accept_encoding.is_some_and(|value| value.split(',').any(|name| name.trim() == "gzip"))
}

/// A clause of an `Accept` header.
#[derive(Debug)]
struct Clause<'h> {
    kind: &'h str,
    subtype: &'h str,
    quality: f32,
    parameters: Vec<(&'h str, &'h str)>,
}

impl Clause<'_> {
    fn matches(&self, media_type: MediaType) -> bool {
        match (self.kind, self.subtype) {
            ("*", "*") | ("application", "*") => true,
            ("application", subtype) => subtype == media_type.subtype(),
            _ => false,
        }
    }

    fn options(&self, media_type: MediaType, endpoint: Endpoint) -> Option<Accepted> {
        let mut accepted = Accepted { media_type, ..Accepted::JSON };
        for &(key, value) in &self.parameters {
            match key {
                "as" => value.clone_into(&mut accepted.convert.get_or_insert_default().kind),
                "g" => value.clone_into(&mut accepted.convert.get_or_insert_default().group),
                "v" => value.clone_into(&mut accepted.convert.get_or_insert_default().version),
                "stream" if !value.is_empty() && (value != "watch" || !media_type.has_stream()) => return None,
                // The version of the server's meta group, which is v1 for every resource.
                "sv" if !value.is_empty() && (value != "v1" || endpoint == Endpoint::Plain) => return None,
                "pretty" => accepted.pretty = value == "1",
                "profile" => value.clone_into(&mut accepted.profile),
                _ => {}
            }
        }
        endpoint.allows(media_type, accepted.convert.as_ref()).then_some(accepted)
    }

    /// goautoneg's order, which is not a total one: it is fed to an insertion sort, as Go feeds it for short slices.
    fn comes_before(&self, other: &Self) -> bool {
        self.quality > other.quality || (self.kind != "*" && other.kind == "*") || (self.subtype != "*" && other.subtype == "*")
    }
}

fn parse_accept(header: &str) -> Vec<Clause<'_>> {
    let mut clauses: Vec<Clause<'_>> = Vec::new();
    for part in header.split(',') {
        let mut pieces = part.split(';');
        let mut names = pieces.next().unwrap_or_default().split('/').map(str::trim);
        let (kind, subtype) = match (names.next(), names.next(), names.next()) {
            (Some("*"), None | Some(""), None) => ("*", "*"),
            (Some(kind), Some(subtype), None) if !subtype.is_empty() => (kind, subtype),
            _ => continue,
        };
        let mut clause = Clause { kind, subtype, quality: 1.0, parameters: Vec::new() };
        for (key, value) in pieces.filter_map(|piece| piece.split_once('=')).filter(|(_, v)| !v.is_empty() && !v.contains('=')) {
            match key.trim() {
                "q" => clause.quality = value.parse().unwrap_or(0.0),
                key => clause.parameters.push((key, value.trim())),
            }
        }
        clauses.push(clause);
        let mut at = clauses.len() - 1;
        while at > 0 && clauses[at].comes_before(&clauses[at - 1]) {
            clauses.swap(at, at - 1);
            at -= 1;
        }
    }
    clauses
}

/// A `Content-Type` as a body's decoder needs it: unset is JSON; what is malformed or unknown is upstream's 415.
///
/// # Errors
/// 415.
pub fn content_type(header: Option<&str>) -> Result<MediaType, Status> {
    let header = header.unwrap_or_default();
    if header.is_empty() {
        return Ok(MediaType::Json);
    }
    parse_media_type(header)
        .and_then(|name| MediaType::ALL.into_iter().find(|m| m.name() == name))
        .ok_or_else(|| Status::unsupported_media_type(header, &MediaType::NAMES))
}

/// Go's `mime.ParseMediaType`, without the parameters' values: the type in lower case, `None` where it is malformed.
pub fn parse_media_type(header: &str) -> Option<String> {
    let (name, mut rest) = header.split_at(header.find(';').unwrap_or(header.len()));
    let name = name.trim().to_ascii_lowercase();
    let mut halves = name.splitn(2, '/');
    if !halves.all(is_token) {
        return None;
    }
    // `; key=token` or `; key="quoted"`, any number of times; a lone `;` at the end is let through.
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Some(name);
        }
        rest = rest.strip_prefix(';')?.trim_start();
        if rest.is_empty() {
            return Some(name);
        }
        let (key, tail) = rest.split_once('=')?;
        if !is_token(key.trim_end()) {
            return None;
        }
        rest = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?.1,
            None => {
                let (value, tail) = tail.split_at(tail.find(';').unwrap_or(tail.len()));
                if !is_token(value.trim()) {
                    return None;
                }
                tail
            }
        };
    }
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&b))
}

/// go-restful's check of a route before its handler: whether any media type in `Accept` is one that the route produces. It looks at names
/// only, and does not know `application/*`. Its 406 lists what the route produces.
///
/// # Errors
/// 406.
pub fn route_produces(accept: Option<&str>, produces: &[&str]) -> Result<(), Status> {
    let accept = accept.filter(|a| !a.is_empty()).unwrap_or("*/*");
    let matches = accept.split(',').map(|part| part.split(';').next().unwrap_or_default().trim_matches(' '));
    if matches.into_iter().any(|name| name == "*/*" || produces.contains(&name)) {
        return Ok(());
    }
    let message = format!("406: Not Acceptable\n\nAvailable representations: {}", produces.join(", "));
    Err(Status::failure(406, StatusReason::NotAcceptable, message).with_details(StatusDetails::default()))
}

/// go-restful's check of a route's `Content-Type`: unset is let through for methods that need no body, and is `application/octet-stream`
/// otherwise.
///
/// # Errors
/// 415.
pub fn route_consumes(content_type: Option<&str>, method: &http::Method, consumes: &[&str]) -> Result<(), Status> {
    if consumes.is_empty() || consumes.contains(&"*/*") {
        return Ok(());
    }
    let given = match content_type.filter(|c| !c.is_empty()) {
        Some(given) => given,
        None if [http::Method::GET, http::Method::HEAD, http::Method::OPTIONS, http::Method::DELETE, http::Method::TRACE]
            .contains(method) =>
        {
            return Ok(());
        }
        None => "application/octet-stream",
    };
    let mut names = given.split(',').map(|part| part.split(';').next().unwrap_or_default().trim_matches(' '));
    if names.any(|name| consumes.contains(&name)) {
        return Ok(());
    }
    let message = "415: Unsupported Media Type";
    Err(Status::failure(415, StatusReason::UnsupportedMediaType, message).with_details(StatusDetails::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";

    fn shown(accept: Option<&str>, endpoint: Endpoint) -> String {
        negotiate(accept, endpoint).map_or("406".into(), |a| {
            let pretty = if a.pretty { " pretty" } else { "" };
            format!("{}{pretty}", a.content_type_with_kind())
        })
    }

    #[test]
    fn accept_is_negotiated_as_upstream_does() {
        use Endpoint::{AggregatedDiscovery as Aggregated, CustomResource, Plain, Resource, Tableless};
        let v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";
        let rows: &[(&str, Endpoint, &str)] = &[
            ("", Resource, "application/json"),
            ("*/*", Resource, "application/json"),
            ("*", Resource, "application/json"),
            ("application/*", Resource, "application/json"),
            ("text/html", Resource, "406"),
            ("application/yaml", Resource, "application/yaml"),
            ("application/json;q=0", Resource, "application/json"),
            ("application/json;q=0.5, application/yaml", Resource, "application/yaml"),
            ("application/yaml;q=0.5, application/json", Resource, "application/json"),
            ("text/html, application/json;q=0.5", Resource, "application/json"),
            ("*/*, application/yaml", Resource, "application/yaml"),
            ("application/json; charset=utf-8", Resource, "application/json"),
            ("application/json;stream=watch", Resource, "application/json"),
            ("application/json;stream=other", Resource, "406"),
            ("application/yaml;stream=watch", Resource, "406"),
            ("application/json;pretty=1", Resource, "application/json pretty"),
            ("application/json;v=v1", Resource, "406"),
            ("application/json/x", Resource, "406"),
            ("application", Resource, "406"),
            ("application/vnd.kubernetes.protobuf", Resource, "application/vnd.kubernetes.protobuf"),
            ("application/vnd.kubernetes.protobuf", CustomResource, "406"),
            ("application/vnd.kubernetes.protobuf", Plain, "application/vnd.kubernetes.protobuf"),
            ("application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io", Resource, "406"),
            ("application/vnd.kubernetes.protobuf;stream=watch", Resource, "application/vnd.kubernetes.protobuf"),
            ("application/vnd.kubernetes.protobuf,application/json", Resource, "application/vnd.kubernetes.protobuf"),
            ("application/vnd.kubernetes.protobuf,application/json", CustomResource, "application/json"),
            ("application/cbor", Resource, "406"),
            (TABLE, Resource, "application/json;g=meta.k8s.io;v=v1;as=Table"),
            (TABLE, CustomResource, "application/json;g=meta.k8s.io;v=v1;as=Table"),
            (TABLE, Plain, "406"),
            (TABLE, Tableless, "406"),
            ("application/json;as=Table;v=v1;g=meta.k8s.io,application/json", Tableless, "application/json"),
            (
                "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Tableless,
                "application/json;g=meta.k8s.io;v=v1;as=PartialObjectMetadata",
            ),
            ("application/json;as=Table;v=v9;g=meta.k8s.io", Resource, "406"),
            ("application/json;as=Table;v=v1;g=x", Resource, "406"),
            ("application/json;as=Foo;v=v1;g=meta.k8s.io,application/json", Resource, "application/json"),
            (
                "application/yaml;as=PartialObjectMetadata;v=v1;g=meta.k8s.io",
                Resource,
                "application/yaml;g=meta.k8s.io;v=v1;as=PartialObjectMetadata",
            ),
            (v2, Aggregated, "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
            (v2, Plain, "406"),
            ("application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList", Aggregated, "406"),
            ("application/json", Aggregated, "406"),
        ];
        for (header, endpoint, want) in rows {
            assert_eq!(shown(Some(header), *endpoint), *want, "{header} at {endpoint:?}");
        }
        assert_eq!(shown(None, Resource), "application/json");
        assert_eq!(shown(None, Aggregated), "406");
        assert!(accept_stream(Some("application/yaml"), Resource).unwrap_err().message.ends_with("protobuf;stream=watch"));
    }

    #[test]
    fn content_types_are_read_as_go_reads_them() {
        let rows = [
            ("", Some(MediaType::Json)),
            ("application/json", Some(MediaType::Json)),
            ("Application/JSON; charset=utf-8", Some(MediaType::Json)),
            ("application/json;", Some(MediaType::Json)),
            ("application/yaml; a=\"b;c\"", Some(MediaType::Yaml)),
            ("application/json; charset", None),
            ("application/json, application/json", None),
            ("application/vnd.kubernetes.protobuf", Some(MediaType::Protobuf)),
            ("text/plain", None),
            ("x", None),
        ];
        for (header, want) in rows {
            assert_eq!(content_type(Some(header)).ok(), want, "{header}");
        }
    }

    #[test]
    fn routes_check_names_only() {
        let produces = MediaType::NAMES;
        for (accept, ok) in
            [("", true), ("*/*", true), ("application/json;as=Foo", true), ("text/html,*/*;q=0.1", true), ("application/*", false)]
        {
            assert_eq!(route_produces(Some(accept), &produces).is_ok(), ok, "{accept}");
        }
        let patches = ["application/merge-patch+json"];
        for (given, ok) in [("application/merge-patch+json; x=y", true), ("application/json", false), ("", false)] {
            assert_eq!(route_consumes(Some(given), &http::Method::PATCH, &patches).is_ok(), ok, "{given}");
        }
    }

    #[test]
    fn pretty_is_for_people() {
        let rows = [
            ("", "curl/8", true),
            ("", "kubectl/v1.36", false),
            ("pretty=false", "curl/8", false),
            ("pretty=1", "x", true),
            ("pretty", "Wget", true),
            ("pretty=maybe", "curl/8", false),
        ];
        for (query, agent, want) in rows {
            assert_eq!(is_pretty(query, agent), want, "{query} {agent}");
        }
        assert!(accepts_gzip(Some("deflate, gzip")) && !accepts_gzip(Some("gzip;q=0")) && !accepts_gzip(None));
    }

    #[test]
    fn quality_orders_stably() {
        let header = "a/b;q=0.1, c/d, e/*, */*, f/g;q=0.9";
        let order: Vec<_> = parse_accept(header).iter().map(|c| format!("{}/{}", c.kind, c.subtype)).collect();
        assert_eq!(order, ["c/d", "f/g", "e/*", "*/*", "a/b"].map(String::from), "goautoneg's partial order");
    }

    #[test]
    fn a_documents_media_type_is_the_first_that_a_clause_names() {
        const OFFERED: [&str; 3] = ["application/json", "application/a@b+protobuf", "application/a.b+protobuf"];
        for (accept, chosen) in [
            (None, Some(OFFERED[0])),
            (Some(""), Some(OFFERED[0])),
            (Some("*/*"), Some(OFFERED[0])),
            (Some("application/*"), Some(OFFERED[0])),
            (Some("*/a.b+protobuf"), Some(OFFERED[2])),
            (Some("application/a@b+protobuf"), Some(OFFERED[1])),
            (Some("application/a.b+protobuf, application/json"), Some(OFFERED[2])),
            (Some("application/a.b+protobuf;q=0.5, application/json"), Some(OFFERED[0])),
            (Some("text/html, application/a@b+protobuf;q=0.1"), Some(OFFERED[1])),
            (Some("application/json;as=Table;v=v9;g=x"), Some(OFFERED[0])),
            (Some("application/yaml"), None),
            (Some("text/*"), None),
            (Some("nonsense"), None),
        ] {
            assert_eq!(first_of(accept, &OFFERED), chosen, "{accept:?}");
        }
    }
}
