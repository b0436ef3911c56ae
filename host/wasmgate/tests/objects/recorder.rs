//! What is said about a request is said once, however often it is tried, and whatever becomes of it.

use apimachinery::options::DeleteOptions;
use serde_json::{Value, json};

use crate::world::{Fault, World, request, resource};

#[tokio::test]
async fn a_request_that_is_tried_again_says_everything_once() {
    let world = World::new().await;
    let maps = resource("", "v1", "configmaps");
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m", "namespace": "n", "annotations": {} } });
    world.create(&maps, "n", map).await.unwrap();
    for (faults, done) in [
        (vec![Fault::Conflict, Fault::Conflict, Fault::None], true),
        (vec![Fault::Conflict; 32], true),
        (vec![Fault::Refused], false),
        (vec![Fault::AnswerLost], false),
    ] {
        let update = request(&maps, "patch", "n", "m");
        let change = |old: Option<&Value>| {
            let mut object = old.cloned().unwrap();
            object["data"] = json!({ "a": format!("{faults:?}") });
            Ok(object)
        };
        world.store.plan(faults.clone());
        let result = world.registry.update(&update, &change, false).await;
        assert!(world.store.is_plan_over(), "{faults:?}");
        assert_eq!(result.is_ok(), done, "{faults:?}");
        assert_eq!(update.context.recorder.warnings.texts(), ["it is allowed"], "{faults:?}");
        assert_eq!(update.context.recorder.annotations.list(), [("allowed".to_owned(), "true".to_owned())], "{faults:?}");
        world.store.plan([]);
        world.settle().await;
    }
    let delete = request(&maps, "delete", "n", "m");
    world.store.plan([Fault::Conflict, Fault::Refused]);
    world.registry.delete(&delete, &DeleteOptions::default()).await.unwrap_err();
    assert_eq!(delete.context.recorder.warnings.texts(), ["it is allowed"]);
}
