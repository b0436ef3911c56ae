//! Garbage collection by owner references: dependents of what is gone are deleted (background), an owner waits for its dependents
//! (foreground), or lets them go (orphan). What is decided and in which words follows upstream's `pkg/controller/garbagecollector`.
//!
//! watches → [`graph`] → tasks → [`collector`], which asks the store before each step and deletes with the uid and the version that it
//! saw. Where anything is in doubt (a kind that nobody serves, an owner in a namespace where it cannot own), nothing is done.

mod collector;
mod graph;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use api::ResourceRef;
use api::kinds::strategy;
use api::strategy::GarbageCollectionPolicy;
use cacher::{Cacher, Caches, EventType, Object, Update};
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use self::collector::{Collector, Outcome};
use self::graph::{Address, Graph, Meta, Task};
use crate::client::{Changes, Client, RETRY_PAUSE_MIN, longer};
use crate::server::Server;

/// Changes that wait for the collector; the watchers wait when it is full.
const QUEUE_CHANGES_MAX: usize = 4096;
/// Tasks that are done at a time; upstream has as many workers.
const TASKS_COUNT_MAX: usize = 20;
/// How long to sleep where nothing is to be done again.
const IDLE_PAUSE: Duration = Duration::from_secs(3600);

/// What a watch tells.
enum Message {
    Seen(Address, Meta),
    Gone(Meta),
    /// All that there was when the watch began has been told.
    Complete(ResourceRef),
}

pub(crate) async fn run(server: Server) {
    let client = Client::new(&server, "generic-garbage-collector");
    let (sender, mut receiver) = mpsc::channel(QUEUE_CHANGES_MAX);
    let mut catalogues = client.registry.caches().catalogues();
    let mut monitors = Monitors { sender, running: HashMap::new(), tasks: JoinSet::new() };
    let mut incomplete: HashSet<String> = monitors.follow(client.registry.caches()).started.into_iter().collect();
    let caches = client.registry.caches().clone();
    let collector = Collector::new(client);
    let (mut graph, mut failed, mut unworked) = (Graph::default(), Failed::default(), 0);
    loop {
        tokio::select! {
            biased;
            message = receiver.recv() => match message {
                Some(Message::Seen(address, meta)) => graph.see(address, meta),
                Some(Message::Gone(meta)) => graph.forget(&meta.uid),
                Some(Message::Complete(resource)) => {
                    if !incomplete.remove(&*resource.storage_prefix) {
                        // The watch had lost track: what went in between was not told.
                        collector.missed(&graph, &resource).iter().for_each(|uid| graph.forget(uid));
                    }
                }
                None => return,
            },
            Ok(()) = catalogues.changed() => {
                let Followed { started, ended } = monitors.follow(&caches);
                incomplete.extend(started);
                for resource in ended {
                    incomplete.remove(&*resource.storage_prefix);
                    // That a kind is no longer served deletes nothing: dependents of its objects are looked at, and an owner whose kind nobody
                    // serves counts as unknown, not as gone.
                    graph.uids_of(&resource).map(|(uid, _)| uid.clone()).collect::<Vec<_>>().iter().for_each(|uid| graph.forget(uid));
                }
            }
            () = tokio::time::sleep_until(failed.next()), if incomplete.is_empty() => {}
        }
        unworked += 1;
        // Before anything may count as having no owner, the state of all kinds must have been read once. Later on the graph takes in new
        // changes before tasks are done, but tasks are not put off for ever.
        let is_current = incomplete.is_empty() && (receiver.is_empty() || unworked > QUEUE_CHANGES_MAX);
        if is_current && (graph.has_tasks() || failed.is_due()) {
            let tasks = graph.take_tasks().into_iter().chain(failed.due().cloned()).collect();
            work(&collector, &mut graph, &mut failed, tasks).await;
            unworked = 0;
        }
    }
}

async fn work(collector: &Collector, graph: &mut Graph, failed: &mut Failed, tasks: HashSet<Task>) {
    let outcomes: Vec<(Task, Outcome)> = {
        let graph = &*graph;
        let done = tasks.into_iter().map(|task| async move {
            let outcome = collector.perform(graph, &task).await;
            (task, outcome)
        });
        futures::stream::iter(done).buffer_unordered(TASKS_COUNT_MAX).collect().await
    };
    for (task, outcome) in outcomes {
        match outcome {
            Outcome::Done => failed.forget(&task),
            Outcome::Absent(uid) => {
                failed.forget(&task);
                graph.forget(&uid);
            }
            Outcome::Failed(status) => {
                tracing::warn!(?task, %status, "garbage collection failed; trying again");
                failed.add(task);
            }
        }
    }
}

/// The watches, one for each kind that can own or be owned.
struct Monitors {
    sender: mpsc::Sender<Message>,
    /// By where the kind's objects lie.
    running: HashMap<String, (Arc<Cacher>, AbortHandle)>,
    tasks: JoinSet<()>,
}

/// What changed with the kinds that are served.
struct Followed {
    /// Where the objects lie that are watched from now on, for the first time.
    started: Vec<String>,
    /// Kinds that are served no more.
    ended: Vec<ResourceRef>,
}

impl Monitors {
    /// Begins and ends watches as caches came and went.
    fn follow(&mut self, caches: &Caches) -> Followed {
        let mut followed = Followed { started: Vec::new(), ended: Vec::new() };
        let is_collected =
            |cacher: &Arc<Cacher>| strategy(cacher.resource()).default_garbage_collection_policy() != GarbageCollectionPolicy::Unsupported;
        let cachers: Vec<Arc<Cacher>> = caches.all().into_iter().filter(is_collected).collect();
        self.running.retain(|place, (cacher, task)| {
            let is_served = cachers.iter().any(|served| *served.resource().storage_prefix == **place);
            if !is_served {
                task.abort();
                followed.ended.push(cacher.resource().clone());
            }
            is_served
        });
        for cacher in cachers {
            let place = cacher.resource().storage_prefix.to_string();
            let before = self.running.get(&place);
            if before.is_some_and(|(running, _)| Arc::ptr_eq(running, &cacher)) {
                continue;
            }
            match before {
                // The same objects, stored otherwise: the state is told once more.
                Some((_, task)) => task.abort(),
                None => followed.started.push(place.clone()),
            }
            let task = self.tasks.spawn(forward(Changes::of(&cacher), cacher.resource().clone(), self.sender.clone()));
            self.running.insert(place, (cacher, task));
        }
        followed
    }
}

/// Sends what matters of a resource's changes.
async fn forward(mut changes: Changes, resource: ResourceRef, sender: mpsc::Sender<Message>) {
    loop {
        for update in changes.next().await {
            let message = match update {
                Update::InitialEventsEnd(_) => Message::Complete(resource.clone()),
                Update::Event(kind, object) => match message(&resource, kind, &object) {
                    Some(message) => message,
                    None => continue,
                },
            };
            if sender.send(message).await.is_err() {
                return;
            }
        }
    }
}

fn message(resource: &ResourceRef, kind: EventType, object: &Object) -> Option<Message> {
    let meta = Meta::of(&object.json()).ok()?;
    Some(match kind {
        EventType::Deleted => Message::Gone(meta),
        _ => Message::Seen(Address { resource: resource.clone(), key: object.key().clone() }, meta),
    })
}

/// Tasks that failed, each with a pause of its own that grows.
#[derive(Default)]
struct Failed {
    pauses: HashMap<Task, (Instant, Duration)>,
    order: BTreeSet<(Instant, Task)>,
}

impl Failed {
    fn add(&mut self, task: Task) {
        let pause = self.pauses.get(&task).map_or(RETRY_PAUSE_MIN, |(_, pause)| longer(*pause));
        self.forget(&task);
        let at = Instant::now() + pause;
        self.pauses.insert(task.clone(), (at, pause));
        self.order.insert((at, task));
    }

    fn forget(&mut self, task: &Task) {
        if let Some((at, _)) = self.pauses.remove(task) {
            self.order.remove(&(at, task.clone()));
        }
    }

    fn next(&self) -> Instant {
        self.order.first().map_or_else(|| Instant::now() + IDLE_PAUSE, |(at, _)| *at)
    }

    fn is_due(&self) -> bool {
        self.next() <= Instant::now()
    }

    /// Those that are to be done again; they stay here until it is known how that went.
    fn due(&self) -> impl Iterator<Item = &Task> {
        let now = Instant::now();
        self.order.iter().take_while(move |(at, _)| *at <= now).map(|(_, task)| task)
    }
}
