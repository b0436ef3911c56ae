//! Plugins of several sources, in one chain.

use std::sync::Arc;

use async_trait::async_trait;
use auth::Decision;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use wasmgate_plugin_host::*;

use crate::bench::*;

/// A source that has what a test says.
struct Told {
    now: Arc<Mutex<Option<Found>>>,
    changes: mpsc::Receiver<()>,
}

#[async_trait]
impl PluginSource for Told {
    fn origin(&self) -> Origin {
        Origin::Directory
    }
    async fn look(&mut self) -> Option<Found> {
        self.now.lock().take()
    }
    async fn changed(&mut self, _: bool) {
        if self.changes.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

fn authorizer(file: &str, name: &str, script: &str) -> Candidate {
    let spec = json!({"roles": ["authorizer"], "credentials": [], "config": {"do": script}});
    candidate(file, manifest(name, spec), scripted().into())
}

fn found(candidates: Vec<Candidate>) -> Option<Found> {
    Some(Found { candidates, strays: Vec::new() })
}

#[tokio::test]
async fn what_one_source_has_is_not_the_others() {
    let bench = Bench::new().await;
    bench.set.replace_directory(vec![authorizer("a.yaml", "one", "nothing")]).await;
    let now = Arc::new(Mutex::new(found(vec![authorizer("a.yaml", "two", "allow"), authorizer("b.yaml", "one", "deny")])));
    let (change, changes) = mpsc::channel(1);
    let following = bench.set.follow(Told { now: now.clone(), changes }).await;
    // The same file's name in another source is another file, and a plugin's name is taken all the same.
    let states = bench.set.states();
    let names: Vec<_> = states.iter().map(|state| (state.name.as_str(), state.status.as_str())).collect();
    assert_eq!(names, [("one", "ready"), ("two", "ready"), ("one", "failed")]);
    assert_eq!(bench.authorize().await.decision, Decision::Allow);

    // What goes from one stays in the other.
    bench.set.replace_directory(Vec::new()).await;
    assert_eq!(bench.authorize().await.decision, Decision::Allow);
    *now.lock() = found(vec![authorizer("a.yaml", "two", "deny")]);
    change.send(()).await.expect("somebody follows");
    let mut decision = bench.authorize().await.decision;
    while decision != Decision::Deny {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        decision = bench.authorize().await.decision;
    }
    // Nobody follows any more, and what there is stays.
    drop(following);
    *now.lock() = found(Vec::new());
    let _ = change.send(()).await;
    assert_eq!(bench.authorize().await.decision, Decision::Deny);
}
