use proptest::prelude::*;

use super::*;

fn messages(text: &str) -> Vec<String> {
    parse(text.as_bytes(), "f.yaml").errors.iter().map(ToString::to_string).collect()
}

fn keys(reading: &Reading) -> Vec<String> {
    reading.objects.iter().map(|object| object.item.key().to_string()).collect()
}

/// The keys of what is in a text without mistakes.
fn good(text: &str) -> Vec<String> {
    let reading = parse(text.as_bytes(), "f.yaml");
    assert_eq!(reading.errors, [], "{text}");
    keys(&reading)
}

const NS: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";

#[test]
fn documents() {
    let text = format!(
        "\u{feff}# nothing\n---\r\n{}---\n\n---\n~\n---\n{}...\n",
        NS.replace('\n', "\r\n"),
        NS.replace("name: a", "name: b")
    );
    assert_eq!(good(&text), ["Namespace a", "Namespace b"]);
    assert_eq!(good(""), [""; 0]);
    let reading = parse(text.as_bytes(), "f.yaml");
    let places: Vec<String> = reading.objects.iter().map(|object| object.place.to_string()).collect();
    assert_eq!(places, ["f.yaml, document 1 (line 3)", "f.yaml, document 3 (line 11)"]);
}

#[test]
fn json_values() {
    let text = r#" {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}}
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "b"}}"#;
    assert_eq!(good(text), ["Namespace a", "Namespace b"]);
    assert_eq!(parse(text.as_bytes(), "f.json").objects[1].place.to_string(), "f.json, document 2 (line 2)");
    // Flow style that is not JSON; in a file that says it is JSON, it is a mistake.
    let flow = "{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Pod, metadata: {name: b}}";
    assert_eq!(good(flow), ["Namespace a", "Pod default/b"]);
    let errors = parse(flow.as_bytes(), "f.json").errors;
    assert_eq!(errors[0].to_string(), "f.json, document 1 (line 1): is not JSON: key must be a string");
}

#[test]
fn lists() {
    let text = "
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: a}}
- apiVersion: v1
  kind: PodList
  items:
  - {metadata: {name: b}}
  - {kind: Pod, metadata: {name: c}}
- {apiVersion: v1, kind: List, items: null}
- {apiVersion: v1, kind: ServiceList, items: [{metadata: {name: s}}]}
- {apiVersion: x.example.com/v1, kind: BlockList, spec: {}}
";
    let reading = parse(text.as_bytes(), "f.yaml");
    assert_eq!(keys(&reading), ["Namespace a", "Pod default/b", "Pod default/c"]);
    let ignored: Vec<_> = reading.ignored.into_iter().collect();
    assert_eq!(ignored, [("v1 Service".into(), 1), ("x.example.com/v1 BlockList".into(), 1)]);
    assert_eq!(
        messages(
            "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: PodList, items: [{metadata: {name: x}, spec: {hostNetwork: 1}}]}\n"
        ),
        [
            "f.yaml, document 1 (line 1), Pod x: items[0].items[0].spec.hostNetwork: invalid type: integer `1`, expected \
          a boolean"
        ]
    );
    assert_eq!(
        messages("apiVersion: v1\nkind: List\nitems: 5"),
        ["f.yaml, document 1 (line 1), List: items: is not a list"]
    );
    assert_eq!(
        messages("apiVersion: v1\nkind: List\nitems: [{kind: Role}]"),
        ["f.yaml, document 1 (line 1), Role: items[0].apiVersion: is required"]
    );
}

#[test]
fn scalars_as_kubernetes_reads_them() {
    let labels = |text: &str| {
        let text =
            format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: a\n  labels:\n    k: {text}\n");
        match parse(text.as_bytes(), "f.yaml").objects.pop().map(|object| object.item) {
            Some(gavel_engine::Object::Namespace(metadata)) => Ok(metadata.labels["k"].clone()),
            _ => Err(messages(&text).pop().unwrap()),
        }
    };
    for (text, expected) in [
        ("\"true\"", "true"),
        ("'80'", "80"),
        ("\"~\"", "~"),
        ("v1", "v1"),
        ("2024-01-01", "2024-01-01"),
        ("1.2.3", "1.2.3"),
        ("~", ""),
        ("null", ""),
        ("", ""),
        ("!!str 5", "5"),
        // As YAML 1.2 has it, and most writers take for granted.
        ("y", "y"),
        ("N", "N"),
        ("\"yes\"", "yes"),
        ("'off'", "off"),
        ("yEs", "yEs"),
    ] {
        assert_eq!(labels(text), Ok(expected.into()), "{text}");
    }
    for text in ["true", "yes", "off", "5", "0777", "1e3", "1.5", "9007199254740993", "{}", "[a]"] {
        let told = labels(text).unwrap_err();
        assert!(told.contains("metadata.labels.k: invalid type: "), "{text}: {told}");
        assert!(told.ends_with(", expected a string; quotes make it one"), "{text}: {told}");
    }
    let port = |text: &str| {
        let text = format!(
            "apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{containers: [{{ports: [{{name: p, containerPort: {text}}}]}}]}}"
        );
        match parse(text.as_bytes(), "f.yaml").objects.pop().map(|object| object.item) {
            Some(gavel_engine::Object::Pod(pod)) => Some(pod.ports[0].port),
            _ => None,
        }
    };
    for (text, expected) in [
        ("80", Some(80)),
        ("80.0", Some(80)),
        ("8e1", Some(80)),
        ("0x50", Some(80)),
        ("0120", Some(80)),
        ("80.5", None),
        ("\"80\"", None),
        ("99999999999999999999", None),
    ] {
        assert_eq!(port(text), expected, "{text}");
    }
    for (text, expected) in [("true", true), ("yes", true), ("On", true), ("no", false), ("~", false)] {
        let text = format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{hostNetwork: {text}}}");
        let Some(gavel_engine::Object::Pod(pod)) =
            parse(text.as_bytes(), "f").objects.pop().map(|object| object.item)
        else {
            panic!("{text}")
        };
        assert_eq!(pod.host_network, expected, "{text}");
    }
}

#[test]
fn anchors_and_merges() {
    let text = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: &n a\n  annotations: &l {x: z}\n  labels: {<<: *l, k: *n}\n";
    let Some(gavel_engine::Object::Namespace(metadata)) =
        parse(text.as_bytes(), "f").objects.pop().map(|object| object.item)
    else {
        panic!("no namespace")
    };
    assert_eq!(
        metadata.labels.into_iter().collect::<Vec<_>>(),
        [("k".into(), "a".into()), ("x".into(), "z".into())]
    );
}

#[test]
fn bad_text() {
    for (text, expected) in [
        ("a: [", "f.yaml, document 1 (line 1): is not YAML: "),
        ("# c\n---\n\na: b\n c: d\n", "f.yaml, document 1 (line 5): is not YAML: "),
        ("a: 1\na: 2\n", "f.yaml, document 1 (line 2): is not YAML: duplicate mapping key: a"),
        ("{\"a\": 1, \"a\": 2}", "f.yaml, document 1 (line 1): is not JSON: duplicate key \"a\""),
        ("{\"a\": {\n\"b\": }", "f.yaml, document 1 (line 2): is not JSON: expected value"),
        ("- a\n", "f.yaml, document 1 (line 1): is not an object: it has no apiVersion and kind"),
        ("text", "f.yaml, document 1 (line 1): is not an object: it has no apiVersion and kind"),
        ("a: 1\n", "f.yaml, document 1 (line 1): kind: is required"),
        ("a: .inf\n", "f.yaml, document 1 (line 1): is not YAML: "),
        ("a: *b\n", "f.yaml, document 1 (line 1): is not YAML: "),
    ] {
        let messages = messages(text);
        assert!(
            messages.first().is_some_and(|message| message.starts_with(expected)),
            "{text:?}: {messages:?}"
        );
    }
    let errors = parse(b"a: 1\nb: \xff\n", "f.yaml").errors;
    assert_eq!(errors[0].to_string(), "f.yaml (line 2): is not UTF-8 text");
}

#[test]
fn bombs() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let aliases = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{aliases}]\n"));
    }
    assert_eq!(messages(&bomb).len(), 1);
    for (open, close) in [("[", "]"), ("{a: ", "}"), ("{\"a\":", "}")] {
        assert_eq!(
            messages(&format!("a: {}{}", open.repeat(100_000), close.repeat(100_000))).len(),
            1,
            "{open}"
        );
        assert_eq!(
            messages(&format!("{}1{}", open.repeat(100_000), close.repeat(100_000))).len(),
            1,
            "{open}"
        );
    }
    assert_eq!(
        messages(&(0..50_000).map(|depth| format!("{}a:\n", " ".repeat(depth % 2000))).collect::<String>())
            .len(),
        1
    );
}

#[test]
fn bad_objects() {
    for (text, expected) in [
        (
            "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: p}\nspec:\n  runAsUser: {rule: Whoever}\n  \
             seLinux: {rule: RunAsAny}\n  fsGroup: {rule: MustRunAs, ranges: [{min: 5, max: 1}]}\n  \
             supplementalGroups: {rule: RunAsAny}\n",
            vec![
                "f.yaml, document 1 (line 1), PodSecurityPolicy p: spec.runAsUser.rule: \"Whoever\" is not supported; \
                 supported values are \"MustRunAs\", \"MustRunAsNonRoot\", \"RunAsAny\"",
                "f.yaml, document 1 (line 1), PodSecurityPolicy p: spec.fsGroup.ranges[0].min: min 5 is greater than \
                 max 1",
            ],
        ),
        (
            "# shop\n\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web, namespace: shop}\nspec:\n  \
             podSelector: {}\n  ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]\n",
            vec![
                "f.yaml, document 1 (line 3), NetworkPolicy shop/web: spec.ingress[0].from[0].ipBlock.cidr: \
                 \"10.0.0.0/33\" is not a CIDR, such as 10.0.0.0/8 or fd00::/8",
            ],
        ),
        (
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: web}\nspec:\n  \
             podSelector: {matchExpressions: [{key: a, operator: Equals, values: [b]}]}\n",
            vec![
                "f.yaml, document 1 (line 1), NetworkPolicy web: spec.podSelector.matchExpressions[0].operator: \
                 unknown variant `Equals`, expected one of `In`, `NotIn`, `Exists`, `DoesNotExist`",
            ],
        ),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\nkind: Pod\nmetadata: {name: a, \
             namespace: default}\n",
            vec![
                "f.yaml, document 2 (line 5), Pod default/a: is there twice: it also stands in f.yaml, document 1 \
                 (line 1)",
            ],
        ),
        (
            "apiVersion: extensions/v1beta1\nkind: NetworkPolicy\nmetadata: {name: a}\n",
            vec![
                "f.yaml, document 1 (line 1), NetworkPolicy a: apiVersion: NetworkPolicy is not read from \
                 \"extensions/v1beta1\", but from networking.k8s.io/v1",
            ],
        ),
    ] {
        assert_eq!(messages(text), expected, "{text}");
    }
}

#[test]
fn what_is_accepted_with_a_warning() {
    let warnings = |text: &str, accept_refused| {
        let mut reading = Reading::default();
        parse_into(&mut reading, text.as_bytes(), "f", ReadOptions { accept_refused });
        let (objects, errors) = (reading.objects.len(), reading.errors.len());
        (objects, errors, reading.warnings.iter().map(|warning| warning.field.clone()).collect::<Vec<_>>())
    };
    let binding = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: b}\nroleRef: {kind: \
                   ClusterRole, name: r}\nsubjects: [{kind: ServiceAccount, name: s}]\n";
    assert_eq!(warnings(binding, false), (1, 0, vec!["subjects[0].namespace".into()]));
    let policy = "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: p}\n";
    assert_eq!(warnings(policy, false).1, 4);
    assert_eq!(warnings(policy, true).0, 1);
    assert_eq!(warnings(policy, true).2.len(), 4);
    // Somebody else's kind of that name.
    let calico = "apiVersion: projectcalico.org/v3\nkind: NetworkPolicy\nmetadata: {name: p}\n";
    assert_eq!(warnings(calico, false), (0, 0, vec![String::new()]));
    // A ConfigMap is nobody's concern.
    assert_eq!(warnings("apiVersion: v1\nkind: ConfigMap\n", false), (0, 0, vec![]));
}

proptest! {
    #[test]
    fn never_panics_over_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        parse(&bytes, "f.yaml");
        parse(&bytes, "f.json");
    }

    #[test]
    fn never_panics_over_what_looks_like_yaml(words in proptest::collection::vec(prop_oneof![
        Just("apiVersion: v1\n"), Just("kind: List\n"), Just("kind: Pod\n"), Just("kind: NetworkPolicy\n"),
        Just("apiVersion: networking.k8s.io/v1\n"), Just("items:\n"), Just("- "), Just("  "), Just("---\n"), Just("---"),
        Just("metadata: {name: a}\n"), Just("spec:\n"), Just("spec: null\n"), Just("podSelector: "), Just("&a "),
        Just("*a"), Just("<<: *a\n"), Just("["), Just("]"), Just("{"), Just("}"), Just("\""), Just("'"), Just("|\n"),
        Just(">\n"), Just("? "), Just(": "), Just("\n"), Just("\r\n"), Just("\t"), Just("# c\n"), Just("!!int "),
        Just("!x "), Just("5"), Just("1e999"), Just("\u{feff}"), Just("ä"), Just("%YAML 1.2\n"), Just("...\n"),
    ], 0..40)) {
        parse(words.concat().as_bytes(), "f.yaml");
        parse(format!("{{{}", words.concat()).as_bytes(), "f.yaml");
    }
}
