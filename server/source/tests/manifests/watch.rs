use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use gavel_engine::{Change, Object};
use gavel_source::manifests::watch::{WatchOptions, watch};
use gavel_source::{Event, Source};
use tokio::sync::{mpsc, watch as signal};
use tokio::task::{JoinError, JoinHandle};

use super::{Folder, namespace};

/// A watch that is running.
struct Running {
    events: mpsc::Receiver<Event>,
    stop: signal::Sender<bool>,
    task: JoinHandle<Result<(), JoinError>>,
}

const QUICK: Duration = Duration::from_millis(20);
/// Never, as far as a test goes.
const NEVER: Duration = Duration::from_secs(3600);
/// Long enough for any machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Watches with the system's help alone, so that polling cannot hide what it does not tell.
fn start(paths: Vec<PathBuf>) -> Running {
    start_with(paths, WatchOptions { quiet: QUICK, poll: NEVER, ..WatchOptions::default() })
}

fn start_with(paths: Vec<PathBuf>, options: WatchOptions) -> Running {
    let (sender, events) = mpsc::channel(4);
    let (stop, stopped) = signal::channel(false);
    Running { events, stop, task: tokio::spawn(watch(paths, options, Source::new(), sender, stopped)) }
}

impl Running {
    async fn next(&mut self) -> Event {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event in time").expect("an event")
    }

    /// The changes of the next event that has any, in short: `+a=1` or `-a`. A change that takes several steps on disk
    /// may be told in several events, so they are gathered until `count` are there.
    async fn changes(&mut self, count: usize) -> Vec<String> {
        let mut told = Vec::new();
        while told.len() < count {
            match self.next().await {
                Event::Changed { changes, .. } => told.extend(changes.iter().map(short)),
                Event::Unchanged => {}
                Event::Failed { errors } => panic!("{errors:?}"),
            }
        }
        told
    }

    /// The first error of the next bad reading.
    async fn failure(&mut self) -> String {
        loop {
            match self.next().await {
                Event::Failed { errors } => return errors[0].message.clone(),
                Event::Unchanged => {}
                Event::Changed { changes, .. } => panic!("{changes:?}"),
            }
        }
    }

    async fn end(self) {
        self.stop.send(true).unwrap();
        tokio::time::timeout(PATIENCE, self.task).await.expect("an end").unwrap().unwrap();
    }
}

fn short(change: &Change) -> String {
    match change {
        Change::Upsert(Object::Namespace(metadata)) => {
            format!("+{}={}", metadata.name, metadata.labels["is"])
        }
        Change::Upsert(other) => panic!("{other:?}"),
        Change::Remove(key) => format!("-{}", key.name),
    }
}

#[tokio::test]
async fn files_come_change_and_go() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("a", "x1"));
    let mut running = start(vec![folder.path("")]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.write("a.yaml", &namespace("a", "x2"));
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    folder.write("b.yaml", &namespace("b", "x1"));
    assert_eq!(running.changes(1).await, ["+b=x1"]);
    folder.replace("b.yaml", &namespace("b", "x2"));
    assert_eq!(running.changes(1).await, ["+b=x2"]);
    fs::rename(folder.path("b.yaml"), folder.path("c.yaml")).unwrap();
    folder.write("d.yaml", &namespace("d", "x1"));
    assert_eq!(running.changes(1).await, ["+d=x1"]);
    fs::remove_file(folder.path("a.yaml")).unwrap();
    assert_eq!(running.changes(1).await, ["-a"]);
    running.end().await;
}

#[tokio::test]
async fn an_empty_folder_is_told_of_too() {
    let folder = Folder::new();
    let mut running = start(vec![folder.path("")]);
    match running.next().await {
        Event::Changed { changes, warnings } => assert_eq!((changes.len(), warnings.len()), (0, 1)),
        other => panic!("{other:?}"),
    }
    folder.write("a.yaml", &namespace("a", "x1"));
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    running.end().await;
}

#[tokio::test]
async fn folders_come_and_go() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("a", "x1"));
    let mut running = start(vec![folder.path("")]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.write("new/er/b.yaml", &namespace("b", "x1"));
    assert_eq!(running.changes(1).await, ["+b=x1"]);
    folder.write("new/er/b.yaml", &namespace("b", "x2"));
    assert_eq!(running.changes(1).await, ["+b=x2"]);
    // Another folder in its place.
    fs::rename(folder.path("new"), folder.path(".old")).unwrap();
    folder.write("new/er/b.yaml", &namespace("b", "x3"));
    let mut told = running.changes(1).await;
    if told == ["-b"] {
        told = running.changes(1).await;
    }
    assert_eq!(told, ["+b=x3"]);
    folder.write("new/er/b.yaml", &namespace("b", "x4"));
    assert_eq!(running.changes(1).await, ["+b=x4"]);
    fs::remove_dir_all(folder.path("new")).unwrap();
    assert_eq!(running.changes(1).await, ["-b"]);
    running.end().await;
}

#[tokio::test]
async fn config_maps_are_swapped() {
    let folder = Folder::new();
    folder.config_map("1", &[("a.yaml", &namespace("a", "x1")), ("b.yaml", &namespace("b", "x1"))]);
    let mut running = start(vec![folder.path("")]);
    assert_eq!(running.changes(2).await, ["+a=x1", "+b=x1"]);
    folder.config_map("2", &[("a.yaml", &namespace("a", "x2")), ("b.yaml", &namespace("b", "x1"))]);
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    fs::remove_dir_all(folder.path("..1")).unwrap();
    folder.config_map("3", &[("a.yaml", &namespace("a", "x3")), ("b.yaml", &namespace("b", "x3"))]);
    assert_eq!(running.changes(2).await, ["+a=x3", "+b=x3"]);
    running.end().await;
}

#[tokio::test]
async fn a_file_of_a_config_map() {
    let folder = Folder::new();
    folder.config_map("1", &[("a.yaml", &namespace("a", "x1"))]);
    let mut running = start(vec![folder.path("a.yaml")]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.config_map("2", &[("a.yaml", &namespace("a", "x2"))]);
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    running.end().await;
}

#[tokio::test]
async fn a_folder_behind_links() {
    let folder = Folder::new();
    folder.write("releases/1/policies/a.yaml", &namespace("a", "x1"));
    folder.write("releases/2/policies/a.yaml", &namespace("a", "x2"));
    folder.link("current", "releases/1");
    let mut running = start(vec![folder.path("current/policies")]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.link("next", "releases/2");
    fs::rename(folder.path("next"), folder.path("current")).unwrap();
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    folder.write("releases/2/policies/a.yaml", &namespace("a", "x3"));
    assert_eq!(running.changes(1).await, ["+a=x3"]);
    running.end().await;
}

#[tokio::test]
async fn one_file() {
    let folder = Folder::new();
    let path = folder.write("a.yaml", &namespace("a", "x1"));
    let mut running = start(vec![path.clone()]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.replace("a.yaml", &namespace("a", "x2"));
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    fs::remove_file(&path).unwrap();
    assert!(running.failure().await.starts_with("cannot be read: No such file"));
    folder.write("a.yaml", &namespace("a", "x3"));
    assert_eq!(running.changes(1).await, ["+a=x3"]);
    running.end().await;
}

#[tokio::test]
async fn what_is_not_there_yet() {
    let folder = Folder::new();
    let mut running = start(vec![folder.path("later/still/a.yaml")]);
    assert!(running.failure().await.starts_with("cannot be read: No such file"));
    fs::create_dir(folder.path("later")).unwrap();
    assert!(running.failure().await.starts_with("cannot be read: No such file"));
    folder.write("later/still/a.yaml", &namespace("a", "x1"));
    loop {
        match running.next().await {
            Event::Changed { changes, .. } => {
                assert_eq!(changes.iter().map(short).collect::<Vec<_>>(), ["+a=x1"]);
                break;
            }
            Event::Failed { .. } => {}
            Event::Unchanged => panic!("nothing was read yet"),
        }
    }
    running.end().await;
}

#[tokio::test]
async fn mistakes_keep_the_last_good_state() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("a", "x1"));
    folder.write("b.yaml", &namespace("b", "x1"));
    let mut running = start(vec![folder.path("")]);
    assert_eq!(running.changes(2).await, ["+a=x1", "+b=x1"]);
    for (text, message) in [
        ("a: [", "is not YAML: "),
        ("{\"a\": ", "is not JSON: "),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {ingress: [{from: [{ipBlock: \
             {cidr: 10.0.0.0/33}}]}]}\n",
            "\"10.0.0.0/33\" is not a CIDR",
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec: {podSelector: \
             {matchExpressions: [{key: a, operator: Like}]}}\n",
            "unknown variant `Like`",
        ),
        (
            "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: p}\nspec: {runAsUser: {rule: Any}}\n",
            "\"Any\" is not supported",
        ),
        (
            "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: p}\nspec: {seLinux: {rule: RunAsAny}, \
             runAsUser: {rule: MustRunAs, ranges: [{min: 2, max: 1}]}, fsGroup: {rule: RunAsAny}, supplementalGroups: \
             {rule: RunAsAny}}\n",
            "min 2 is greater than max 1",
        ),
        ("apiVersion: v1\nkind: Namespace\nmetadata: {name: b}\n", "is there twice"),
    ] {
        folder.replace("a.yaml", text);
        let told = running.failure().await;
        assert!(told.starts_with(message), "{told}");
    }
    // What goes while there is a mistake is told once the mistake is gone.
    fs::remove_file(folder.path("b.yaml")).unwrap();
    folder.replace("a.yaml", &namespace("a", "x1"));
    let mut told = Vec::new();
    while told.is_empty() {
        if let Event::Changed { changes, .. } = running.next().await {
            told.extend(changes.iter().map(short));
        }
    }
    assert_eq!(told, ["-b"]);
    running.end().await;
}

#[tokio::test]
async fn back_to_the_last_good_state_is_unchanged() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("a", "x1"));
    let mut running = start(vec![folder.path("")]);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.replace("a.yaml", "a: [");
    running.failure().await;
    folder.replace("a.yaml", &namespace("a", "x1"));
    assert_eq!(running.next().await, Event::Unchanged);
    running.end().await;
}

#[tokio::test]
async fn polling_alone() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("a", "x1"));
    let options = WatchOptions { poll: QUICK, notify: false, ..WatchOptions::default() };
    let mut running = start_with(vec![folder.path("")], options);
    assert_eq!(running.changes(1).await, ["+a=x1"]);
    folder.replace("a.yaml", &namespace("a", "x2"));
    assert_eq!(running.changes(1).await, ["+a=x2"]);
    folder.write("sub/b.yaml", &namespace("b", "x1"));
    let told = loop {
        // A file that is just being written may be met half-written, and be bad for a moment.
        if let Event::Changed { changes, .. } = running.next().await {
            break changes;
        }
    };
    assert_eq!(told.iter().map(short).collect::<Vec<_>>(), ["+b=x1"]);
    fs::remove_file(folder.path("a.yaml")).unwrap();
    assert_eq!(running.changes(1).await, ["-a"]);
    running.end().await;
}

#[tokio::test]
async fn it_ends_when_nobody_listens() {
    let folder = Folder::new();
    let Running { events, stop, task } = start(vec![folder.path("")]);
    drop(events);
    tokio::time::timeout(PATIENCE, task).await.expect("an end").unwrap().unwrap();
    drop(stop);
    let Running { events: _events, stop, task } = start(vec![folder.path("")]);
    drop(stop);
    tokio::time::timeout(PATIENCE, task).await.expect("an end").unwrap().unwrap();
}
