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

#[test]
fn what_is_written_is_restored() {
    let directory = tempfile::tempdir().unwrap();
    let heard = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    {
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.restore().unwrap().heard, None);
        store.write(&[namespace("a", "1"), namespace("b", "1")], None).unwrap();
        assert_eq!(store.restore().unwrap().heard, None, "not whole yet: nothing is restored");
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
    let restored = Store::open(directory.path()).unwrap().restore().unwrap();
    assert_eq!(names(&restored), ["Namespace b", "NetworkPolicy n/bad"]);
    assert_eq!(restored.unreadable, ["Pod/n/x"]);
    assert_eq!(restored.heard, Some(heard));
    let Object::Namespace(b) = &restored.objects[0] else { panic!() };
    assert_eq!(b.labels["l"], "2");
}

#[test]
fn a_damaged_file_is_begun_anew() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join(FILE), "not a database").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.restore().unwrap().heard, None);
    assert!(directory.path().join("objects.redb.damaged").exists());
}
