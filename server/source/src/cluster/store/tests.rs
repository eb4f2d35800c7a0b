use super::*;

fn namespace(name: &str, label: &str) -> Stored {
    let json = format!(r#"{{"metadata":{{"name":"{name}","labels":{{"l":"{label}"}}}}}}"#);
    Stored { key: key(Kind::Namespace, "", name), json: Some(json.into_bytes()) }
}

fn key(kind: Kind, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey { kind, namespace: namespace.into(), name: name.into() }
}

fn names(restored: &Restored) -> Vec<String> {
    restored.objects.iter().map(|object| object.key().to_string()).collect()
}

fn restore(directory: &Path) -> Restored {
    Store::open(directory).unwrap().1
}

#[test]
fn what_is_written_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let heard = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    {
        let (store, restored) = Store::open(directory.path()).unwrap();
        assert_eq!(restored.heard, None);
        store.write(&[namespace("a", "1"), namespace("b", "1")], None).unwrap();
    }
    assert_eq!(restore(directory.path()).heard, None, "not whole yet: nothing is restored");
    {
        let (store, _) = Store::open(directory.path()).unwrap();
        let gone = Stored { key: key(Kind::Namespace, "", "a"), json: None };
        let isolation = Stored {
            key: key(Kind::NetworkPolicy, "n", "bad"),
            json: Some(
                br#"{"metadata":{"name":"bad","namespace":"n"},"spec":{"podSelector":{},"ingress":[{"from":[{}]}]}}"#
                    .to_vec(),
            ),
        };
        let unreadable = Stored { key: key(Kind::Pod, "n", "x"), json: Some(b"7".to_vec()) };
        store.write(&[namespace("b", "2"), gone, isolation, unreadable], Some(heard)).unwrap();
        assert!(
            Store::open(directory.path()).unwrap_err().to_string().contains("objects.redb"),
            "one process at a time"
        );
    }
    let restored = restore(directory.path());
    assert_eq!(names(&restored), ["Namespace b", "NetworkPolicy n/bad"]);
    assert_eq!(restored.unreadable, ["Pod/n/x"]);
    assert_eq!(restored.heard, Some(heard));
    let Object::Namespace(b) = &restored.objects[0] else { panic!() };
    assert_eq!(b.labels["l"], "2");
}

/// Whatever becomes of the file: it is read, or put aside, and a store is there.
#[test]
fn a_damaged_file_is_begun_anew() {
    let whole = {
        let directory = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(directory.path()).unwrap();
        let many: Vec<Stored> = (0..500).map(|n| namespace(&format!("n{n}"), "x")).collect();
        store.write(&many, Some(SystemTime::now())).unwrap();
        drop(store);
        std::fs::read(directory.path().join(FILE)).unwrap()
    };
    let mut damaged: Vec<Vec<u8>> = vec![b"not a database".to_vec(), Vec::new()];
    damaged
        .extend([100, 4096, 5000, whole.len() / 2, whole.len() - 1].map(|length| whole[..length].to_vec()));
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at..(at + 16).min(whole.len())].fill(0xA5);
        damaged.push(flipped);
    }
    let mut set_aside = 0;
    for (number, bytes) in damaged.iter().enumerate() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), bytes).unwrap();
        let (store, restored) = Store::open(directory.path()).unwrap();
        assert!(restored.objects.len() <= 500, "{number}");
        store.write(&[namespace("new", "1")], Some(SystemTime::now())).unwrap();
        drop(store);
        assert!(!restore(directory.path()).objects.is_empty(), "{number}");
        set_aside += usize::from(directory.path().join("objects.redb.damaged").exists());
    }
    assert!(set_aside > 5, "{set_aside} of {} were found to be damaged", damaged.len());
}
