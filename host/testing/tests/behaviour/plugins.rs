//! A plugin sees one request more than once: each time the newest object, and what it changes is changed once.

use std::sync::Arc;

use admission::chain::{Denial, Mutation, Round};
use serde_json::{Value, json};
use wasmgate_testing::plugins::ScriptedPlugin;
use wasmgate_testing::{Fault, Setup, TestServer};

use crate::{MAP, MAPS, map};

/// Appends its name to `data.asked`.
fn appends(name: &'static str) -> ScriptedPlugin {
    ScriptedPlugin::new(name, "configmaps").mutating(move |_, objects| {
        let Some(object) = objects.object else { return Ok(Mutation::Unchanged) };
        let asked = object["data"]["asked"].as_str().unwrap_or_default();
        if asked.split(' ').any(|other| other == name) {
            return Ok(Mutation::Unchanged);
        }
        let mut data = object["data"].clone();
        data["asked"] = format!("{asked} {name}").trim().into();
        Ok(Mutation::Patch(vec![json!({ "op": "add", "path": "/data", "value": data })]))
    })
}

async fn server(mutating: &[&Arc<ScriptedPlugin>], validating: &[&Arc<ScriptedPlugin>]) -> TestServer {
    let links = |plugins: &[&Arc<ScriptedPlugin>]| plugins.iter().map(|plugin| plugin.link()).collect();
    TestServer::start(Setup { admission: (links(mutating), links(validating)), ..Setup::default() }).await
}

/// A conflict: both rounds are asked again, and about what is stored now.
#[tokio::test]
async fn after_a_conflict_it_is_asked_about_what_is_stored_now() {
    let mutating = Arc::new(appends("first"));
    let validating = Arc::new(ScriptedPlugin::new("judge", "configmaps").validating(|_, _| Ok(None)));
    let server = server(&[&mutating], &[&validating]).await;
    server.call("POST", MAPS, map("a")).await.ok();
    let before = (mutating.take_calls(), validating.take_calls());
    assert_eq!((before.0.len(), before.1.len()), (1, 1));
    server.storage.plan([Fault::Conflict, Fault::Conflict, Fault::None]);
    let patched = server.call("PATCH", MAP, json!({ "data": { "k": "v" } })).await.ok();
    assert_eq!(patched["data"], json!({ "k": "v", "asked": "first" }));
    for plugin in [&mutating, &validating] {
        let calls = plugin.take_calls();
        let seen: Vec<_> = calls.iter().map(|call| call.old.as_ref().unwrap()["metadata"]["annotations"]["touched"].clone()).collect();
        let versions: Vec<_> = calls.iter().map(|call| call.old.as_ref().unwrap()["metadata"]["resourceVersion"].clone()).collect();
        assert_eq!(seen, [Value::Null, versions[0].clone(), versions[1].clone()], "each time what the last of the others wrote");
        assert!(calls.iter().all(|call| call.object.as_ref().unwrap()["data"]["k"] == "v"));
    }
}

/// A plugin that wants to sees what a later one made of the object; one that does not is left alone.
#[tokio::test]
async fn it_is_asked_again_where_a_later_one_changed_the_object() {
    let (again, once, last) = (Arc::new(appends("again").reinvoked()), Arc::new(appends("once")), Arc::new(appends("last")));
    let server = server(&[&again, &once, &last], &[]).await;
    let made = server.call("POST", MAPS, map("a")).await.ok();
    assert_eq!(made["data"]["asked"], "again once last");
    let seen = |plugin: &ScriptedPlugin| -> Vec<String> {
        let calls = plugin.take_calls();
        assert!(calls.iter().all(|call| call.round == Round::Mutating));
        calls.iter().map(|call| call.object.as_ref().unwrap()["data"]["asked"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(
        (seen(&again), seen(&once), seen(&last)),
        (vec![String::new(), "again once last".into()], vec!["again".into()], vec!["again once".into()])
    );
}

/// Names are drawn again behind mutation, as upstream has it: a mutating plugin is asked once, a validating one about each name.
#[tokio::test]
async fn each_drawn_name_is_judged() {
    let mutating = Arc::new(appends("first"));
    let validating = Arc::new(ScriptedPlugin::new("judge", "configmaps").validating(|_, _| Ok(None)));
    let server = server(&[&mutating], &[&validating]).await;
    server.storage.plan([Fault::Conflict, Fault::Conflict]);
    let generated = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "generateName": "g-" } });
    server.call("POST", MAPS, generated).await.ok();
    assert_eq!(mutating.take_calls().len(), 1);
    let names: Vec<_> = validating.take_calls().iter().map(|call| call.object.as_ref().unwrap()["metadata"]["name"].clone()).collect();
    assert_eq!(names.len(), 3);
    assert!(names.iter().all(|name| name.as_str().is_some_and(|name| name.len() == 7)), "{names:?}");
}

/// What is refused at the second look is not stored, although nothing was wrong at the first.
#[tokio::test]
async fn its_last_word_counts() {
    let judge = Arc::new(ScriptedPlugin::new("judge", "configmaps").validating(|_, objects| {
        let touched = objects.old.is_some_and(|old| old["metadata"]["annotations"]["touched"].is_string());
        Ok(touched.then(|| Denial::Forbidden("it has been touched".into())))
    }));
    let server = server(&[], &[&judge]).await;
    server.call("POST", MAPS, map("a")).await.ok();
    server.storage.plan([Fault::Conflict]);
    let refused = server.call("PATCH", MAP, json!({ "data": { "k": "v" } })).await;
    assert_eq!((refused.code, &*refused.refusal()), (403, "configmaps \"a\" is forbidden: it has been touched"));
    server.settle().await;
    assert_eq!(server.get(MAP).await.ok()["data"], Value::Null);
}

/// A fault is counted where it is one, and the object stays as it was where it is passed over.
#[tokio::test]
async fn a_patch_that_does_not_hold_is_its_fault() {
    fn bad(_: &admission::Attributes, _: admission::Objects<'_>) -> Result<Mutation, auth::Fault> {
        Ok(Mutation::Patch(vec![json!({ "op": "replace", "path": "/metadata/name", "value": "b" })]))
    }
    let passed_over = Arc::new(ScriptedPlugin::new("bad", "configmaps").mutating(bad).ignored_where_it_fails());
    let lenient = server(&[&passed_over], &[]).await;
    assert_eq!(lenient.call("POST", MAPS, map("a")).await.ok()["metadata"]["name"], "a");
    assert!(passed_over.faults().iter().any(|fault| fault == "its patch changes /metadata/name"));
    let strict = server(&[&Arc::new(ScriptedPlugin::new("bad", "configmaps").mutating(bad))], &[]).await;
    let failed = strict.call("POST", MAPS, map("a")).await;
    assert_eq!(failed.code, 500);
    assert!(failed.refusal().contains("failed calling admission plugin \"bad\": its patch changes /metadata/name"), "{failed:?}");
}
