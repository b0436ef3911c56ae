//! Two config maps of `kube-system`. `extension-apiserver-authentication` says how this server authenticates its clients, so that aggregated
//! API servers and upstream's controller manager and scheduler can do the same (upstream's `pkg/controlplane/controller/
//! clusterauthenticationtrust`); `kube-apiserver-legacy-service-account-token-tracking` says since when the use of such tokens is tracked.
//!
//! Several servers share them: each adds what it believes in, and takes away what has expired.

use api::bootstrap::Reconciled;
use api::{Catalogue, ResourceRef};
use pki::pem;
use rustls_pki_types::CertificateDer;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

const NAMESPACE: &str = "kube-system";
const AUTHENTICATION: &str = "extension-apiserver-authentication";
const LEGACY_TOKENS: &str = "kube-apiserver-legacy-service-account-token-tracking";
const SINCE: &str = "since";
const CLIENT_CA: &str = "client-ca-file";
const REQUEST_HEADER_CA: &str = "requestheader-client-ca-file";
/// A certificate stays in the config map for so many seconds after its end, as upstream's.
const EXPIRED_SECONDS_MAX: i64 = 300;

/// The authorities that this server trusts.
#[derive(Clone, Debug, Default)]
pub struct ClusterTrust {
    /// Authorities of clients: `--client-ca-file`, and the one in the data directory where it is believed.
    pub client_ca: Vec<CertificateDer<'static>>,
    /// `--requestheader-client-ca-file` and what goes with it.
    pub request_header: Option<RequestHeader>,
}

/// How front proxies say who a request is from.
#[derive(Clone, Debug, Default)]
pub struct RequestHeader {
    /// Authorities of the proxies' certificates.
    pub ca: Vec<CertificateDer<'static>>,
    /// The lists, by the config map's key.
    pub lists: Vec<(&'static str, Vec<String>)>,
}

/// The lists of a request header's configuration, in the config map's words.
const LISTS: [&str; 5] = [
    "requestheader-username-headers",
    "requestheader-uid-headers",
    "requestheader-group-headers",
    "requestheader-extra-headers-prefix",
    "requestheader-allowed-names",
];

/// The config maps, as they are where there are none.
pub fn objects(trust: &ClusterTrust, now_seconds: i64) -> Vec<(ResourceRef, Value)> {
    let resource = || Catalogue::built_in().find("", "v1", "configmaps").expect("config maps are built in").clone();
    let make = |name: &str, data: Map<String, Value>| {
        let mut object = json!({ "kind": "ConfigMap", "apiVersion": "v1", "metadata": { "name": name, "namespace": NAMESPACE } });
        if !data.is_empty() {
            object["data"] = data.into();
        }
        object
    };
    let authentication = combined(trust, &Map::new(), now_seconds).unwrap_or_default();
    vec![
        (resource(), make(AUTHENTICATION, authentication)),
        (resource(), make(LEGACY_TOKENS, Map::from_iter([(SINCE.to_owned(), date(now_seconds).into())]))),
    ]
}

/// Whether it is one of these config maps.
pub fn is_one(object: &Value) -> bool {
    object["kind"] == "ConfigMap" && [AUTHENTICATION, LEGACY_TOKENS].iter().any(|name| object["metadata"]["name"] == *name)
}

/// What is to be done with one that is there. `None`: it is none of these.
pub fn reconcile(trust: &ClusterTrust, existing: &Value, wanted: &Value, now_seconds: i64) -> Option<Reconciled> {
    if !is_one(wanted) {
        return None;
    }
    let empty = Map::new();
    let data = existing["data"].as_object().unwrap_or(&empty);
    let revised = if wanted["metadata"]["name"] == AUTHENTICATION {
        match combined(trust, data, now_seconds) {
            Ok(revised) => revised,
            Err(why) => {
                tracing::warn!("the config map {NAMESPACE}/{AUTHENTICATION} is left as it is: {why}");
                return Some(Reconciled::Unchanged);
            }
        }
    } else {
        let mut revised = data.clone();
        if !data.get(SINCE).and_then(Value::as_str).is_some_and(is_date) {
            revised.insert(SINCE.to_owned(), date(now_seconds).into());
        }
        revised
    };
    if revised == *data {
        return Some(Reconciled::Unchanged);
    }
    let mut object = existing.clone();
    object["data"] = revised.into();
    Some(Reconciled::Update(object))
}

/// The config map's data: certificates that are in it and still valid, lists that are in it, and what this server adds to both. Anything
/// else in it is removed.
fn combined(trust: &ClusterTrust, existing: &Map<String, Value>, now_seconds: i64) -> Result<Map<String, Value>, String> {
    let text = |key: &str| existing.get(key).and_then(Value::as_str).unwrap_or_default();
    let bundle = |key: &str, ours: &[CertificateDer<'static>]| -> Result<String, String> {
        let theirs = match text(key) {
            "" => Vec::new(),
            pem => pki::certificates_from_pem(pem).map_err(|error| format!("{key} {error}"))?,
        };
        let mut kept: Vec<CertificateDer<'_>> = Vec::new();
        for certificate in theirs.iter().chain(ours).filter(|certificate| !has_expired(certificate, now_seconds)) {
            if !kept.contains(certificate) {
                kept.push(certificate.clone());
            }
        }
        Ok(kept.iter().map(|certificate| pem("CERTIFICATE", certificate)).collect())
    };
    let mut data = Map::new();
    let client_ca = bundle(CLIENT_CA, &trust.client_ca)?;
    if !client_ca.is_empty() {
        data.insert(CLIENT_CA.to_owned(), client_ca.into());
    }
    let ours = trust.request_header.clone().unwrap_or_default();
    let proxy_ca = bundle(REQUEST_HEADER_CA, &ours.ca)?;
    if proxy_ca.is_empty() {
        return Ok(data);
    }
    data.insert(REQUEST_HEADER_CA.to_owned(), proxy_ca.into());
    for key in LISTS {
        let mut items: Vec<String> = match text(key) {
            "" => Vec::new(),
            json => serde_json::from_str(json).map_err(|error| format!("{key}: {error}"))?,
        };
        items.extend(ours.lists.iter().filter(|(list, _)| *list == key).flat_map(|(_, items)| items.clone()));
        let mut seen = std::collections::HashSet::new();
        items.retain(|item| seen.insert(item.clone()));
        // Upstream writes all of them but the newest one, which older readers do not know.
        if !items.is_empty() || key != "requestheader-uid-headers" {
            data.insert(key.to_owned(), json!(items).to_string().into());
        }
    }
    Ok(data)
}

fn has_expired(certificate: &CertificateDer<'_>, now_seconds: i64) -> bool {
    let parsed = X509Certificate::from_der(certificate);
    parsed.is_ok_and(|(_, parsed)| parsed.validity().not_after.timestamp() <= now_seconds - EXPIRED_SECONDS_MAX)
}

/// `2026-11-25`.
fn date(seconds: i64) -> String {
    let zoned = jiff::Timestamp::from_second(seconds).unwrap_or_default().to_zoned(jiff::tz::TimeZone::UTC);
    zoned.date().to_string()
}

fn is_date(text: &str) -> bool {
    let digits = |part: &str, length: usize| part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], [year, month, day] if digits(year, 4) && digits(month, 2) && digits(day, 2))
        && text.parse::<jiff::civil::Date>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2030-01-01T00:00:00Z.
    const NOW: i64 = 1_893_456_000;

    fn certificate(name: &str, last_year: i32) -> CertificateDer<'static> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.not_after = rcgen::date_time_ymd(last_year, 1, 1);
        let key = rcgen::KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().clone()
    }

    fn reconciled(trust: &ClusterTrust, data: Value) -> Option<Value> {
        let (_, wanted) = objects(trust, NOW).swap_remove(0);
        let mut existing = wanted.clone();
        existing["data"] = data;
        match reconcile(trust, &existing, &wanted, NOW).expect("one of these") {
            Reconciled::Update(object) => Some(object["data"].clone()),
            Reconciled::Unchanged => None,
            Reconciled::Recreate => panic!("recreated"),
        }
    }

    #[test]
    fn servers_share_what_they_believe_in() {
        let (ours, theirs, old) = (certificate("ours", 2040), certificate("theirs", 2040), certificate("old", 2029));
        let bundle = |certificates: &[&CertificateDer<'_>]| certificates.iter().map(|c| pem("CERTIFICATE", c)).collect::<String>();
        let trust = ClusterTrust { client_ca: vec![ours.clone()], request_header: None };
        assert_eq!(objects(&trust, NOW)[0].1["data"], json!({ CLIENT_CA: bundle(&[&ours]) }));
        assert_eq!(objects(&ClusterTrust::default(), NOW)[0].1["data"], Value::Null, "a server without authorities");
        assert_eq!(reconciled(&trust, json!({ CLIENT_CA: bundle(&[&ours]) })), None);
        for data in [Value::Null, json!({}), json!({ "mine": "x" }), json!({ CLIENT_CA: bundle(&[&ours, &ours]) })] {
            assert_eq!(reconciled(&trust, data), Some(json!({ CLIENT_CA: bundle(&[&ours]) })));
        }
        let merged = reconciled(&trust, json!({ CLIENT_CA: bundle(&[&old, &theirs]) })).expect("changed");
        assert_eq!(merged, json!({ CLIENT_CA: bundle(&[&theirs, &ours]) }));
        assert_eq!(reconciled(&trust, json!({ CLIENT_CA: "broken" })), None, "nobody knows what it was to say");
    }

    #[test]
    fn the_request_header_is_carried_where_it_is_set() {
        let (client, proxy) = (certificate("client", 2040), certificate("proxy", 2040));
        let lists =
            vec![("requestheader-username-headers", vec!["X-Remote-User".to_owned()]), ("requestheader-allowed-names", vec!["b".into()])];
        let trust =
            ClusterTrust { client_ca: vec![client.clone()], request_header: Some(RequestHeader { ca: vec![proxy.clone()], lists }) };
        let all = json!({
            CLIENT_CA: pem("CERTIFICATE", &client),
            REQUEST_HEADER_CA: pem("CERTIFICATE", &proxy),
            "requestheader-username-headers": "[\"X-Remote-User\"]",
            "requestheader-group-headers": "[]",
            "requestheader-extra-headers-prefix": "[]",
            "requestheader-allowed-names": "[\"b\"]",
        });
        assert_eq!(objects(&trust, NOW)[0].1["data"], all);
        assert_eq!(reconciled(&trust, all.clone()), None);
        // Another server's stays, where this one has none.
        let without = ClusterTrust { client_ca: vec![client], request_header: None };
        assert_eq!(reconciled(&without, all.clone()), None);
        let mut other = all.clone();
        other["requestheader-allowed-names"] = json!("[\"a\"]");
        let merged = reconciled(&trust, other).expect("changed");
        assert_eq!(merged["requestheader-allowed-names"], "[\"a\",\"b\"]");
    }

    #[test]
    fn the_date_stays_unless_it_is_none() {
        let trust = ClusterTrust::default();
        let (_, wanted) = objects(&trust, NOW).swap_remove(1);
        assert_eq!(wanted["data"], json!({ SINCE: "2030-01-01" }));
        for (since, want) in
            [("2024-02-29", None), ("2023-02-29", Some("2030-01-01")), ("20240229", Some("2030-01-01")), ("", Some("2030-01-01"))]
        {
            let mut existing = wanted.clone();
            existing["data"] = json!({ SINCE: since, "mine": "x" });
            let got = match reconcile(&trust, &existing, &wanted, NOW).expect("one of these") {
                Reconciled::Update(object) => object["data"][SINCE].as_str().map(str::to_owned),
                _ => None,
            };
            assert_eq!(got.as_deref(), want, "{since:?}");
        }
    }
}
