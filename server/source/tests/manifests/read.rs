use gavel_source::manifests::{Reading, read};

use super::{Folder, namespace};

fn keys(reading: &Reading) -> Vec<String> {
    reading.objects.iter().map(|object| object.item.key().to_string()).collect()
}

/// Errors, without the path of the test's folder.
fn errors(folder: &Folder, reading: &Reading) -> Vec<String> {
    let prefix = format!("{}/", folder.path("").display().to_string().trim_end_matches('/'));
    reading.errors.iter().map(|error| error.to_string().replace(&prefix, "")).collect()
}

#[test]
fn folders() {
    let folder = Folder::new();
    folder.write("b.yaml", &namespace("b", "x1"));
    folder.write("a/z.yml", &namespace("z", "x1"));
    folder.write("a/y.json", r#"{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "j"}}"#);
    folder.write("a/.hidden.yaml", "{");
    folder.write(".git/x.yaml", "{");
    folder.write("README.md", "{");
    folder.write("c.yaml~", "{");
    let reading = read(&[folder.path("")]);
    assert_eq!(reading.errors, []);
    assert_eq!(reading.warnings, []);
    assert_eq!(keys(&reading), ["Namespace j", "Namespace z", "Namespace b"]);
}

#[test]
fn files_by_any_name_and_only_once() {
    let folder = Folder::new();
    let odd = folder.write("odd.txt", &namespace("o", "x1"));
    let plain = folder.write("plain.yaml", &namespace("p", "x1"));
    folder.link("link.yaml", "plain.yaml");
    let reading = read(&[odd.clone(), plain, folder.path(""), odd]);
    assert_eq!(reading.errors, []);
    assert_eq!(keys(&reading), ["Namespace o", "Namespace p"]);
}

#[test]
fn config_maps() {
    let folder = Folder::new();
    folder.config_map("2024_01_01", &[("a.yaml", &namespace("a", "x1")), ("b.yaml", &namespace("b", "x1"))]);
    let reading = read(&[folder.path("")]);
    assert_eq!(reading.errors, []);
    assert_eq!(keys(&reading), ["Namespace a", "Namespace b"]);
    assert!(reading.objects[0].place.file.ends_with("/a.yaml"), "{:?}", reading.objects[0].place);
    assert!(!reading.objects[0].place.file.contains(".."), "{:?}", reading.objects[0].place);
}

#[test]
fn circles() {
    let folder = Folder::new();
    folder.write("a/b/n.yaml", &namespace("n1", "x1"));
    folder.link("a/b/up", "../..");
    folder.link("self", "self");
    let reading = read(&[folder.path("")]);
    assert_eq!(reading.errors, []);
    assert_eq!(keys(&reading), ["Namespace n1"]);
}

#[test]
fn what_is_not_there() {
    let folder = Folder::new();
    folder.link("dangling.yaml", "nowhere");
    let reading = read(&[folder.path(""), folder.path("none")]);
    assert_eq!(
        errors(&folder, &reading),
        [
            "dangling.yaml: cannot be read: No such file or directory (os error 2)",
            "none: cannot be read: No such file or directory (os error 2)",
        ]
    );
    let reading = read(&[std::path::PathBuf::from("/dev/null")]);
    assert_eq!(reading.errors[0].to_string(), "/dev/null: is neither a file nor a folder");
}

#[test]
fn an_empty_folder_is_odd_but_fine() {
    let folder = Folder::new();
    let reading = read(&[folder.path("")]);
    assert_eq!(reading.errors, []);
    assert!(reading.warnings[0].message.starts_with("has no manifests in it"), "{:?}", reading.warnings);
}

#[test]
fn twice_in_two_files() {
    let folder = Folder::new();
    folder.write("a.yaml", &namespace("n1", "x1"));
    folder.write("b.yaml", &format!("# again\n{}", namespace("n1", "x1")));
    let reading = read(&[folder.path("")]);
    assert_eq!(
        errors(&folder, &reading),
        [
            "b.yaml, document 1 (line 2), Namespace n1: is there twice: it also stands in a.yaml, document 1 (line 1)"
        ]
    );
}

#[test]
fn one_mistake_leaves_the_others_to_be_told() {
    let folder = Folder::new();
    folder.write("a.yaml", "a: [\n---\nkind: Role\n");
    folder.write("b.json", "{");
    let reading = read(&[folder.path("")]);
    let errors = errors(&folder, &reading);
    assert!(errors[0].starts_with("a.yaml, document 1 (line 1): is not YAML: "), "{errors:?}");
    assert_eq!(errors[1], "a.yaml, document 2 (line 3), Role: apiVersion: is required");
    assert!(errors[2].starts_with("b.json, document 1 (line 1): is not JSON: EOF"), "{errors:?}");
}

#[test]
fn files_have_a_greatest_size() {
    let folder = Folder::new();
    let path = folder.path("large.yaml");
    let file = std::fs::File::create(&path).unwrap();
    file.set_len(gavel_source::manifests::MAX_FILE_BYTES + 1).unwrap();
    let reading = read(&[path]);
    assert_eq!(errors(&folder, &reading), ["large.yaml: is larger than 64 MiB"]);
}
