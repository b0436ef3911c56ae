//! Cases as data: claims, a cluster, and upstream's answer.

use wasmgate_sdk::jwt::Verification;
use wasmgate_sdk::serde_json::{Value, json};
use wasmgate_sdk::testing;

use super::*;

/// 2026-11-21T11:28:00Z.
const NOW: u64 = 1_795_260_480;

fn cluster() {
    let object = |name: &str, uid: &str| json!({"metadata": {"namespace": "ns", "name": name, "uid": uid}});
    let deleted = |name: &str, at: &str| json!({"metadata": {"namespace": "ns", "name": name, "uid": "u", "deletionTimestamp": at}});
    testing::set_now_milliseconds(NOW * 1000);
    testing::set_audiences(&["https://kubernetes.default.svc", "api"]);
    testing::put("", "serviceaccounts", object("robot", "u1"));
    testing::put_live("", "serviceaccounts", object("fresh", "u1"));
    testing::put("", "serviceaccounts", deleted("old", "2026-11-21T11:26:59Z"));
    testing::put("", "serviceaccounts", deleted("going", "2026-11-21T11:27:30Z"));
    testing::put("", "pods", object("p", "pu"));
    testing::put("", "pods", deleted("gone", "2026-11-21T11:00:00Z"));
    testing::put("", "secrets", object("s", "su"));
    testing::put("", "nodes", json!({"metadata": {"name": "n", "uid": "nu"}}));
    let kept =
        |name: &str, labels: Value| json!({"metadata": {"namespace": "ns", "name": name, "labels": labels}, "data": {"token": "dA=="}});
    testing::put("", "secrets", kept("kept", json!({})));
    testing::put("", "secrets", kept("stale", json!({"kubernetes.io/legacy-token-invalid-since": "2026-01-01"})));
}

/// `name uid groups extra`, or the rejection.
fn answer(plugin: &ServiceAccount, verification: Verification) -> String {
    testing::set_token("t", verification);
    match plugin.authenticate(&Credentials { bearer_token: Some("t".to_owned()), ..Credentials::default() }) {
        Authentication::User(user) | Authentication::UserFor(user, _) => {
            let extra = user.extra.iter().map(|(key, values)| format!("{}={}", key.rsplit('/').next().unwrap_or(key), values.join("+")));
            format!("{} {} {} {}", user.name, user.uid, user.groups.join(","), extra.collect::<Vec<_>>().join(","))
        }
        Authentication::NoOpinion => "no opinion".to_owned(),
        Authentication::Rejected(why) => why,
    }
}

fn of(claims: Value) -> Verification {
    Verification::Claims(Json::from(&claims))
}

#[test]
fn bound_tokens() {
    cluster();
    let claims = |kubernetes: Value, more: Value| {
        let mut claims = json!({"iss": "https://kubernetes.default.svc", "aud": ["api"], "exp": NOW + 10, "nbf": NOW - 10, "iat": NOW - 10,
            "sub": "system:serviceaccount:ns:robot", "jti": "j", "kubernetes.io": kubernetes});
        for (key, value) in more.as_object().expect("an object") {
            claims[key] = value.clone();
        }
        of(claims)
    };
    let robot = |more: Value| {
        let mut kubernetes = json!({"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "u1"}});
        for (key, value) in more.as_object().expect("an object") {
            kubernetes[key] = value.clone();
        }
        kubernetes
    };
    let other = |name: &str, uid: &str| json!({"namespace": "ns", "serviceaccount": {"name": name, "uid": uid}});
    let none = || json!({});
    let groups = "system:serviceaccounts,system:serviceaccounts:ns,system:authenticated";
    let fine = format!("system:serviceaccount:ns:robot u1 {groups} credential-id=JTI=j");
    let rows = [
        (Verification::Unknown, "no opinion".to_owned()),
        (Verification::Invalid("bad signature".to_owned()), "bad signature".to_owned()),
        (claims(robot(none()), none()), fine.clone()),
        (claims(robot(none()), json!({"aud": "api"})), fine.clone()),
        (claims(robot(none()), json!({"aud": []})), fine.clone()),
        (claims(robot(none()), json!({"aud": null})), fine.clone()),
        (claims(robot(none()), json!({"jti": ""})), format!("system:serviceaccount:ns:robot u1 {groups} ")),
        (claims(robot(none()), json!({"aud": ["a", "b"]})), {
            r#"token audiences ["a" "b"] is invalid for the target audiences ["https://kubernetes.default.svc" "api"]"#.to_owned()
        }),
        (claims(robot(none()), json!({"exp": NOW - 60})), fine.clone()),
        (claims(robot(none()), json!({"exp": NOW - 61})), "service account token has expired".to_owned()),
        (claims(robot(none()), json!({"nbf": NOW + 60})), fine.clone()),
        (claims(robot(none()), json!({"nbf": NOW + 61})), "service account token is not valid yet".to_owned()),
        (claims(robot(none()), json!({"iat": NOW + 61})), "service account token is issued in the future".to_owned()),
        (claims(other("fresh", "u1"), none()), format!("system:serviceaccount:ns:fresh u1 {groups} credential-id=JTI=j")),
        (claims(other("nope", "u1"), none()), r#"serviceaccounts "nope" not found"#.to_owned()),
        (claims(other("robot", "u2"), none()), "service account UID (u1) does not match claim (u2)".to_owned()),
        (claims(other("old", "u"), none()), "service account ns/old has been deleted".to_owned()),
        (claims(other("going", "u"), none()), format!("system:serviceaccount:ns:going u {groups} credential-id=JTI=j")),
        (claims(robot(json!({"pod": {"name": "p", "uid": "pu"}, "node": {"name": "any", "uid": "x"}})), none()), {
            format!("system:serviceaccount:ns:robot u1 {groups} credential-id=JTI=j,node-name=any,node-uid=x,pod-name=p,pod-uid=pu")
        }),
        (claims(robot(json!({"pod": {"name": "p", "uid": "x"}})), none()), {
            "pod UID (pu) does not match service account pod ref claim (x)".to_owned()
        }),
        (claims(robot(json!({"pod": {"name": "nope", "uid": "x"}})), none()), "service account token has been invalidated".to_owned()),
        (claims(robot(json!({"pod": {"name": "gone", "uid": "u"}})), none()), "service account token has been invalidated".to_owned()),
        (claims(robot(json!({"secret": {"name": "s", "uid": "su"}})), none()), fine),
        (claims(robot(json!({"secret": {"name": "s", "uid": "x"}})), none()), {
            "secret UID (su) does not match service account secret ref claim (x)".to_owned()
        }),
        (claims(robot(json!({"node": {"name": "n", "uid": "nu"}})), none()), {
            format!("system:serviceaccount:ns:robot u1 {groups} credential-id=JTI=j,node-name=n,node-uid=nu")
        }),
        (claims(robot(json!({"node": {"name": "n", "uid": "x"}})), none()), {
            "node UID (nu) does not match service account node ref claim (x)".to_owned()
        }),
        (claims(robot(json!({"node": {"name": "any", "uid": "x"}})), none()), "service account token has been invalidated".to_owned()),
    ];
    for (at, (verification, want)) in rows.into_iter().enumerate() {
        assert_eq!(answer(&ServiceAccount::default(), verification), want, "row {at}");
    }
}

#[test]
fn audiences() {
    cluster();
    let met = |of_token: Value, asked: &[&str]| {
        let kubernetes = json!({"namespace": "ns", "serviceaccount": {"name": "robot", "uid": "u1"}});
        let claims = json!({"iss": "https://kubernetes.default.svc", "aud": of_token, "exp": NOW + 10, "kubernetes.io": kubernetes,
            "sub": "system:serviceaccount:ns:robot"});
        testing::set_token("t", of(claims));
        let audiences = asked.iter().map(|audience| (*audience).to_owned()).collect();
        let credentials = Credentials { bearer_token: Some("t".to_owned()), audiences, ..Credentials::default() };
        match ServiceAccount::default().authenticate(&credentials) {
            Authentication::UserFor(_, met) => met.join(" "),
            other => format!("{other:?}"),
        }
    };
    let refused = |of_token: &str, asked: &str| {
        format!("{:?}", Authentication::Rejected(format!("token audiences [{of_token}] is invalid for the target audiences [{asked}]")))
    };
    let ours = r#""https://kubernetes.default.svc" "api""#;
    let rows = [
        (json!(["api"]), &[][..], "api".to_owned()),
        (json!(["api", "x"]), &[], "api".to_owned()),
        (json!([]), &[], "https://kubernetes.default.svc api".to_owned()),
        (json!(["x", "y"]), &["y", "x", "z"], "x y".to_owned()),
        (json!(["x"]), &[], refused(r#""x""#, ours)),
        (json!(["api"]), &["x"], refused(r#""api""#, r#""x""#)),
        (json!([]), &["x"], refused(ours, r#""x""#)),
        (json!([]), &["api"], "api".to_owned()),
    ];
    for (of_token, asked, want) in rows {
        assert_eq!(met(of_token.clone(), asked), want, "{of_token} {asked:?}");
    }
}

#[test]
fn tokens_that_are_kept_in_a_secret() {
    cluster();
    let claims = |secret: &str, name: &str, uid: &str, sub: &str| {
        of(json!({"iss": "kubernetes/serviceaccount", "sub": sub,
            "kubernetes.io/serviceaccount/namespace": "ns", "kubernetes.io/serviceaccount/secret.name": secret,
            "kubernetes.io/serviceaccount/service-account.name": name, "kubernetes.io/serviceaccount/service-account.uid": uid}))
    };
    let sub = "system:serviceaccount:ns:robot";
    let fine = "system:serviceaccount:ns:robot u1 system:serviceaccounts,system:serviceaccounts:ns,system:authenticated ";
    let stale = "the token in secret ns/stale for service account ns/robot has been marked invalid. Use tokens from the TokenRequest API or \
                 manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to \
                 temporarily allow use of this token";
    let rows = [
        (claims("kept", "robot", "u1", sub), true, fine),
        (claims("none", "robot", "u1", sub), false, fine),
        (claims("none", "robot", "u1", sub), true, "Token has been invalidated"),
        (claims("s", "robot", "u1", sub), true, "Token does not match server's copy"),
        (claims("kept", "robot", "u2", sub), true, "ServiceAccount UID (u1) does not match claim (u2)"),
        (claims("kept", "x", "u1", "system:serviceaccount:ns:x"), true, r#"serviceaccounts "x" not found"#),
        (claims("kept", "robot", "u1", "system:serviceaccount:ns:other"), true, "sub claim is invalid"),
        (claims("kept", "robot", "u1", ""), true, "sub claim is missing"),
        (claims("", "robot", "u1", sub), true, "secretName claim is missing"),
        (claims("stale", "robot", "u1", sub), true, stale),
    ];
    for (at, (verification, lookup, want)) in rows.into_iter().enumerate() {
        let mut plugin = ServiceAccount::default();
        plugin.configure(Config::from(json!({"lookup": lookup}))).expect("configured");
        assert_eq!(answer(&plugin, verification), want, "row {at}");
    }
}
