//! What cannot be answered: exit code 2, and what, where and why.

use crate::support::Folder;

const CREATE: &str = r#""operation":"CREATE","userInfo":{"username":"u"}"#;

#[test]
fn reviews() {
    let folder = Folder::new();
    let head = r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview""#;
    let cases = [
        (String::new(), "there is no AdmissionReview in it"),
        ("{".to_owned(), "is not JSON"),
        ("a: [".to_owned(), "is not YAML"),
        (r#"{"kind":"Pod","apiVersion":"v1"}"#.to_owned(), "kind: must be AdmissionReview"),
        (
            r#"{"kind":"AdmissionReview","apiVersion":"admission.k8s.io/v1beta1"}"#.to_owned(),
            "apiVersion: must be admission.k8s.io/v1",
        ),
        (format!("{head}}}"), "request: must be set"),
        (format!(r#"{head},"request":{{}}}}"#), "request.uid: must be set"),
        (format!(r#"{head},"request":{{"uid":7}}}}"#), "request.uid: invalid type"),
        (
            format!(r#"{head},"request":{{"uid":"1","operation":"PATCH"}}}}"#),
            "request.operation: must be CREATE",
        ),
        (
            format!(r#"{head},"request":{{"uid":"1","operation":"CREATE"}}}}"#),
            "request.userInfo: must be set",
        ),
        (format!(r#"{head},"request":{{"uid":"1",{CREATE}}}}}"#), "request.object: must be set"),
        (
            format!(
                r#"{head},"request":{{"uid":"1",{CREATE},"object":{{"kind":"Pod","spec":{{"containers":[]}}}}}}}}"#
            ),
            "request.object.spec.containers: a pod has at least one container",
        ),
        (
            format!(
                r#"{head},"request":{{"uid":"1",{CREATE},"object":{{"spec":{{"containers":[{{"securityContext":{{"runAsUser":"0"}}}}]}}}}}}}}"#
            ),
            "request.object.spec.containers[0].securityContext.runAsUser: invalid type",
        ),
    ];
    for (text, part) in cases {
        folder.write("review", &text);
        let said = folder.ask(&["admit", "--review", "review", "-o", "json"]);
        assert_eq!(said.code, 2, "{text}: {said:?}");
        assert!(said.err.contains(part) && said.err.contains("review"), "{text}: {said:?}");
        assert!(said.out.is_empty(), "{said:?}");
    }
}

#[test]
fn flows() {
    let folder = Folder::new();
    let cases = [
        (["shop/nobody", "shop/stranger", "80"], "source.pod"),
        (["shop/stranger", "shop/StatefulSet/nothing", "80"], "destination.workload"),
        (["shop/stranger", "shop/Statefulset/db", "80"], "kinds are written as in manifests"),
        (["a/b/c/d", "shop/stranger", "80"], "--from a/b/c/d"),
        (["shop/stranger", "shop/", "80"], "--to shop/"),
        (["shop/stranger", "10.0.0.1", "0"], "--port 0"),
        (["shop/stranger", "10.0.0.1", "65536"], "--port 65536"),
        (["shop/stranger", "10.0.0.1", "80/ICMP"], "TCP, UDP or SCTP"),
    ];
    for ([from, to, port], part) in cases {
        let said = folder.ask(&["check-flow", "--from", from, "--to", to, "--port", port]);
        assert_eq!(said.code, 2, "{from} {to} {port}: {said:?}");
        assert!(said.err.contains(part), "{from} {to} {port}: {said:?}");
    }
    // A bad line has its place among the answers, and the good ones are answered.
    let good = r#"{"source":{"ip":"10.0.0.1"},"destination":{"ip":"10.0.0.2"},"port":80}"#;
    let bad = r#"{"source":{"ip":"10.0.0.1"},"port":80}"#;
    let unknown = r#"{"sauce":{}}"#;
    let fresh = r#"{"source":{"ip":"10.0.0.1"},"destination":{"ip":"10.0.0.2"},"port":80,"consistency":{"revision":"2"}}"#;
    let input = format!("{good}\n{bad}\n{unknown}\nnothing\n{good}\n{fresh}\n");
    let said =
        folder.run(&["check-flow", "--manifests", "manifests", "--requests", "-", "-o", "json"], &input);
    assert_eq!(said.code, 2);
    let answers = said.documents();
    assert_eq!(answers.len(), 6);
    assert_eq!(answers[1]["error"]["field"], "destination");
    assert_eq!((&answers[2]["error"]["line"], &answers[3]["error"]["line"]), (&3.into(), &4.into()));
    assert_eq!(answers[4]["verdict"], "VERDICT_ALLOW");
    // Manifests that are read once do not become fresher.
    assert_eq!(answers[5]["error"]["field"], "consistency");
}

#[test]
fn arguments() {
    let folder = Folder::new();
    let cases: [(&[&str], &str); 14] = [
        (&[], "Usage"),
        (&["nonsense"], "nonsense"),
        (&["admit", "-f", "workloads.yaml"], "--manifests"),
        (
            &["admit", "--manifests", "manifests", "--server", "x:1", "-f", "workloads.yaml"],
            "cannot be used with",
        ),
        (&["admit", "--manifests", "manifests"], "--review"),
        (&["admit", "--manifests", "manifests", "-f", "missing.yaml"], "missing.yaml"),
        (&["admit", "--manifests", "manifests", "-f", "manifests", "--as-group", "g"], "--as"),
        (&["check-flow", "--server", "nonsense", "--from", "a", "--to", "b", "--port", "1"], "HOST:PORT"),
        (&["authorize", "get", "pods", "--manifests", "manifests"], "user"),
        (
            &["authorize", "get", "pods", "--as", "u", "--manifests", "manifests", "--server-ca", "x"],
            "--server",
        ),
        (
            &["authorize", "get", "pods", "--as", "u", "--server", "x:1", "--server-ca", "missing.crt"],
            "missing.crt",
        ),
        (&["authorize", "get", "pods", "--as", "u", "--server", "https://x:1"], "--server-ca FILE"),
        (&["authorize", "get", "pods", "--as", "u", "--server", "x:1", "--client-cert", "x"], "--client-key"),
        (
            &["authorize", "get", "pods", "--as", "u", "--server", "x:1", "--token-file", "workloads.yaml"],
            "is no token",
        ),
    ];
    for (arguments, part) in cases {
        let said = folder.run(arguments, "");
        assert_eq!(said.code, 2, "{arguments:?}: {said:?}");
        assert!(said.err.contains(part), "{arguments:?}: {said:?}");
    }
    let said = folder.run(&["authorize", "get", "pods", "--as", "u", "--server", "127.0.0.1:1"], "");
    assert_eq!(said.code, 2);
    assert!(said.err.contains("is a server listening there?"), "{said:?}");
}

#[test]
fn manifests() {
    let folder = Folder::new();
    let policy = |spec: &str| {
        format!(
            "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {{name: bad}}\nspec: {spec}\n"
        )
    };
    let network = |spec: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: bad}}\nspec: {spec}\n"
        )
    };
    let rest = "seLinux: {rule: RunAsAny}, supplementalGroups: {rule: RunAsAny}, fsGroup: {rule: RunAsAny}";
    let cases = [
        ("kind: [".to_owned(), "is not YAML"),
        (policy(&format!("{{{rest}, runAsUser: {{rule: MustRunAsNobody}}}}")), "spec.runAsUser.rule"),
        (
            policy(&format!("{{{rest}, runAsUser: {{rule: MustRunAs, ranges: [{{min: 2, max: 1}}]}}}}")),
            "spec.runAsUser.ranges[0]",
        ),
        (
            network("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/33}}]}]}"),
            "spec.ingress[0].from[0].ipBlock.cidr",
        ),
        (
            network("{podSelector: {matchExpressions: [{key: a, operator: Is, values: [b]}]}}"),
            "spec.podSelector.matchExpressions[0].operator",
        ),
        (network("{podSelector: {}, ingres: []}"), "ingres"),
        (crate::support::MANIFESTS.to_owned(), "is there twice"),
    ];
    for (text, part) in cases {
        folder.write("manifests/bad.yaml", &text);
        let said = folder.ask(&["authorize", "get", "pods", "--as", "u"]);
        assert_eq!(said.code, 2, "{text}: {said:?}");
        assert!(said.err.contains(part) && said.err.contains("bad.yaml, document 1"), "{text}: {said:?}");
    }
}
