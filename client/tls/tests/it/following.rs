//! Files that change.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use gavel_tls::{ClientFiles, Event, ServerFiles};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::authority::{Authority, Folder, Issued, expired, write_to};

/// Short: a test waits for what happens, and not for a time.
const INTERVAL: Duration = Duration::from_millis(5);

fn events() -> (impl Fn(Event) + Send + Sync + 'static, UnboundedReceiver<Event>) {
    let (sender, receiver) = unbounded_channel();
    (move |event| sender.send(event).unwrap(), receiver)
}

fn write_pair(folder: &Path, issued: &Issued) {
    write_to(&folder.join("tls.crt"), &issued.certificate);
    write_to(&folder.join("tls.key"), &issued.key);
}

fn server_files(folder: &Path) -> ServerFiles {
    ServerFiles { cert: folder.join("tls.crt"), key: folder.join("tls.key"), ..ServerFiles::default() }
}

#[tokio::test]
async fn a_pair_seen_by_halves_keeps_the_old_one() {
    let (folder, authority) = (Folder::new(), Authority::new("a"));
    write_pair(&folder.path(""), &authority.issue("one"));
    let (tell, mut told) = events();
    let files = server_files(&folder.path(""));
    let mut followed = gavel_tls::serve(files, &[b"h2"], INTERVAL, tell).await.unwrap();
    let first = followed.current();
    let next = authority.issue("two");
    folder.write("tls.crt", &next.certificate);
    let event = told.recv().await.unwrap();
    assert!(matches!(&event, Event::Failed(why) if why.contains("do not belong together")), "{event:?}");
    assert!(std::sync::Arc::ptr_eq(&first, &followed.current()), "the old one is served on");
    folder.write("tls.key", &next.key);
    assert_eq!(told.recv().await.unwrap(), Event::Reloaded);
    let second = followed.changed().await;
    assert!(!std::sync::Arc::ptr_eq(&first, &second));
    // What is bad is told once, and what is good again is used.
    std::fs::remove_file(folder.path("tls.key")).unwrap();
    let event = told.recv().await.unwrap();
    assert!(matches!(&event, Event::Failed(why) if why.contains("No such file")), "{event:?}");
    folder.write("tls.key", &next.key);
    assert_eq!(told.recv().await.unwrap(), Event::Reloaded);
}

#[tokio::test]
async fn a_secret_that_is_mounted() {
    let (folder, authority) = (Folder::new(), Authority::new("a"));
    let version = |name: &str| {
        let path = folder.path(name);
        std::fs::create_dir(&path).unwrap();
        write_pair(&path, &authority.issue(name));
        // The kubelet's way: a link to the current folder, renamed over the old one.
        symlink(&path, folder.path("..data_tmp")).unwrap();
        std::fs::rename(folder.path("..data_tmp"), folder.path("..data")).unwrap();
    };
    version("one");
    for name in ["tls.crt", "tls.key"] {
        symlink(Path::new("..data").join(name), folder.path(name)).unwrap();
    }
    let (tell, mut told) = events();
    let files = server_files(&folder.path(""));
    let mut followed = gavel_tls::serve(files, &[], INTERVAL, tell).await.unwrap();
    for name in ["two", "three"] {
        version(name);
        followed.changed().await;
        assert_eq!(told.recv().await.unwrap(), Event::Reloaded, "never seen by halves");
    }
}

#[tokio::test]
async fn warnings_are_told_once() {
    let (folder, authority) = (Folder::new(), Authority::new("a"));
    write_pair(&folder.path(""), &authority.issue_as("one", expired));
    let (tell, mut told) = events();
    let files = server_files(&folder.path(""));
    let mut followed = gavel_tls::serve(files, &[], INTERVAL, tell).await.unwrap();
    let event = told.recv().await.unwrap();
    assert!(matches!(&event, Event::Warning(why) if why.contains("has expired")), "{event:?}");
    // A good one, and one that has expired: it is told again.
    for issued in [authority.issue("two"), authority.issue_as("three", expired)] {
        write_pair(&folder.path(""), &issued);
        followed.changed().await;
    }
    let mut rest = Vec::new();
    while !matches!(rest.last(), Some(Event::Warning(_))) {
        rest.push(told.recv().await.unwrap());
    }
    let warnings = rest.iter().filter(|event| matches!(event, Event::Warning(_))).count();
    let reloads = rest.iter().filter(|event| **event == Event::Reloaded).count();
    assert_eq!((warnings, reloads), (1, 2), "{rest:?}");
}

#[tokio::test]
async fn clients_and_texts_are_followed_too() {
    let folder = Folder::new();
    let ca = folder.write("ca.crt", Authority::new("a").0.pem());
    let (tell, _told) = events();
    let files = ClientFiles { ca, cert_and_key: None };
    let mut client = gavel_tls::connect(files, &[b"h2"], INTERVAL, tell).await.unwrap();
    assert_eq!(client.current().not_after, None);
    folder.write("ca.crt", Authority::new("b").0.pem());
    client.changed().await;

    let (tell, mut told) = events();
    let parse = |text: &str| text.trim().parse::<u8>().map_err(|error| format!("no number: {error}"));
    let mut number = gavel_tls::parsed(folder.write("number", "1\n"), parse, INTERVAL, tell).await.unwrap();
    assert_eq!(*number.current(), 1);
    folder.write("number", "many");
    let event = told.recv().await.unwrap();
    assert!(matches!(&event, Event::Failed(why) if why.contains("number: no number")), "{event:?}");
    assert_eq!(*number.current(), 1);
    folder.write("number", "2");
    assert_eq!(*number.changed().await, 2);
}

#[tokio::test]
async fn following_ends_with_whoever_wants_to_know() {
    let folder = Folder::new();
    let (tell, mut told) = events();
    let token = gavel_tls::text(folder.write("token", "a"), INTERVAL, tell).await.unwrap();
    let other = token.clone();
    drop(token);
    folder.write("token", "b");
    assert_eq!(told.recv().await, Some(Event::Reloaded), "somebody still wants to know");
    assert_eq!(*other.current(), "b");
    drop(other);
    assert_eq!(told.recv().await, None, "the task has ended");
}

#[tokio::test]
async fn what_cannot_be_used_to_begin_with_is_an_error() {
    let folder = Folder::new();
    let error = gavel_tls::serve(server_files(&folder.path("")), &[], INTERVAL, |_| {}).await.unwrap_err();
    assert!(error.to_string().contains("tls.crt"), "{error}");
}
