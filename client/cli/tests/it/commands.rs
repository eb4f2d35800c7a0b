//! Every command on good input.

use serde_json::{Value, json};

use crate::support::Folder;

fn review(uid: &str, account: &str, context: &Value) -> Value {
    json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": uid, "operation": "CREATE", "namespace": "shop", "name": "p",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "userInfo": {"username": "alice", "groups": ["system:authenticated"]},
        "object": {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "shop"},
            "spec": {"serviceAccountName": account, "containers": [{"name": "c", "securityContext": context}]}},
        "oldObject": null, "dryRun": false, "options": {"kind": "CreateOptions"}}})
}

#[test]
fn reviews_come_back_with_their_response() {
    let folder = Folder::new();
    let reviews = [
        review("1", "web", &json!({})),
        review("2", "web", &json!({"runAsUser": 0})),
        review("3", "other", &json!({})),
    ];
    let lines: Vec<String> = reviews.iter().map(Value::to_string).collect();
    folder.write("reviews.json", &lines.join("\n"));
    let said = folder.ask(&["admit", "--review", "reviews.json", "-o", "json"]);
    assert_eq!(said.code, 1, "{said:?}");
    let answers = said.documents();
    assert_eq!(answers.len(), 3);
    for (answer, uid) in answers.iter().zip(["1", "2", "3"]) {
        assert_eq!(answer["kind"], "AdmissionReview");
        assert_eq!(answer["apiVersion"], "admission.k8s.io/v1");
        assert_eq!(answer["response"]["uid"], uid);
    }
    let response = &answers[0]["response"];
    assert_eq!((&response["allowed"], &response["patchType"]), (&json!(true), &json!("JSONPatch")));
    assert_eq!(response["auditAnnotations"]["podsecuritypolicy.policy.k8s.io/admit-policy"], "restricted");
    assert_eq!(response.get("status"), None);
    let status = &answers[1]["response"]["status"];
    assert_eq!(
        (&status["code"], &status["reason"], &status["status"]),
        (&json!(403), &json!("Forbidden"), &json!("Failure"))
    );
    assert_eq!(
        status["message"],
        "pods \"p\" is forbidden: PodSecurityPolicy: unable to admit pod: \
         [spec.containers[0].securityContext.runAsUser: Invalid value: 0: running with the root UID is forbidden]"
    );
    let warnings = answers[2]["response"]["warnings"].to_string();
    assert!(warnings.contains("use-restricted") && warnings.contains("shop/other"), "{warnings}");

    // The same from standard input, as YAML; and admitted alone, the exit code is 0.
    let said = folder.run(
        &["admit", "--manifests", "manifests", "--review", "-", "-o", "json"],
        &format!("---\n{}\n", review("y", "web", &json!({}))),
    );
    assert_eq!((said.code, said.documents().len()), (0, 1), "{said:?}");
}

#[test]
fn phases() {
    let folder = Folder::new();
    folder.write("review.json", &review("1", "web", &json!({"capabilities": {"drop": ["ALL"]}})).to_string());
    let allowed = |phase: &str| {
        let said = folder.ask(&["admit", "--review", "review.json", "-o", "json", "--phase", phase]);
        said.documents()[0]["response"]["allowed"].as_bool().unwrap()
    };
    assert!(allowed("mutate"));
    assert!(allowed("mutate-and-validate"));
    assert!(!allowed("validate"), "runAsNonRoot would have to be filled in");
}

#[test]
fn admission_switched_off() {
    let folder = Folder::new();
    let said = folder.ask(&["admit", "-f", "workloads.yaml", "--evaluators", "none"]);
    assert_eq!(said.code, 0, "{said:?}");
}

#[test]
fn flows_one_by_one() {
    let folder = Folder::new();
    let ask = |from: &str, to: &str, port: &str| {
        folder.ask(&["check-flow", "--from", from, "--to", to, "--port", port]).code
    };
    assert_eq!(ask("shop/Deployment/web", "shop/StatefulSet/db", "5432/TCP"), 0);
    assert_eq!(ask("shop/Deployment/web", "shop/StatefulSet/db", "5432"), 0);
    assert_eq!(ask("shop/Deployment/web", "shop/StatefulSet/db", "5432/udp"), 1);
    assert_eq!(ask("shop/stranger", "shop/StatefulSet/db", "5432/TCP"), 1);
    assert_eq!(ask("fd00::1", "shop/StatefulSet/db", "5432/TCP"), 1);
    assert_eq!(ask("shop/StatefulSet/db", "10.0.0.1", "53/UDP"), 0);
}

#[test]
fn flows_by_the_line() {
    let folder = Folder::new();
    let end = |kind: &str, name: &str| json!({"workload": {"namespace": "shop", "kind": kind, "name": name}});
    let lines = [
        json!({"source": end("Deployment", "web"), "destination": end("StatefulSet", "db"), "port": 5432}),
        json!({"source": end("Pod", "stranger"), "destination": end("StatefulSet", "db"), "protocol": "PROTOCOL_TCP", "port": 5432}),
        json!({"source": {"ip": "10.0.0.9"}, "destination": {"labels": {"namespace": "shop", "labels": {"app": "db"}}}, "protocol": "UDP", "port": 1}),
    ];
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    let said = folder
        .run(&["check-flow", "--manifests", "manifests", "--requests", "-", "-o", "json"], &lines.join("\n"));
    assert_eq!(said.code, 1, "{said:?}");
    let answers = said.documents();
    assert_eq!(answers.len(), 3);
    assert_eq!(answers[0]["verdict"], "VERDICT_ALLOW");
    assert_eq!(answers[0]["ingress"]["allowedBy"]["policy"]["name"], "db");
    assert_eq!(answers[0]["egress"]["isolated"], false);
    assert_eq!(answers[1]["verdict"], "VERDICT_DENY");
    assert_eq!(answers[1]["ingress"]["isolated"], true);
    assert_eq!(answers[1]["ingress"]["isolating"][0]["name"], "db");
    assert_eq!(answers[2]["verdict"], "VERDICT_DENY");
}

#[test]
fn authorizations() {
    let folder = Folder::new();
    let account = "system:serviceaccount:shop:web";
    let said =
        folder.ask(&["authorize", "use", "podsecuritypolicies/restricted", "--as", account, "-n", "shop"]);
    assert_eq!(said.code, 0);
    assert!(said.out.starts_with("yes: RBAC: allowed by RoleBinding \"use-restricted/shop\""), "{said:?}");
    let said =
        folder.ask(&["authorize", "use", "podsecuritypolicies/restricted", "--as", account, "-n", "other"]);
    assert_eq!((said.code, said.out.as_str()), (1, "no: no binding grants it\n"));
    let spec = json!({"user": account, "resourceAttributes": {"namespace": "shop", "verb": "use", "group": "policy",
        "resource": "podsecuritypolicies", "name": "restricted"}});
    let whole = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "metadata": {}, "spec": spec});
    let path = json!({"user": account, "nonResourceAttributes": {"path": "/healthz", "verb": "get"}});
    let said = folder.run(
        &["authorize", "--manifests", "manifests", "--requests", "-", "-o", "json"],
        &format!("{spec}\n{whole}\n\n{path}\n"),
    );
    assert_eq!(said.code, 1);
    let answers = said.documents();
    assert_eq!(answers[0], answers[1]);
    assert_eq!((&answers[0]["allowed"], &answers[2]), (&json!(true), &json!({"allowed": false})));
}

/// Offline and against a server: the same words.
#[test]
fn a_server_answers_the_same() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let running = runtime.block_on(async {
        let config = gavel_server::Config::local(vec![folder.path("manifests")]);
        let mut running = gavel_server::start(config).await.unwrap();
        running.ready().await.unwrap();
        running
    });
    let address = running.listening[0].clone();
    let questions: [&[&str]; 4] = [
        &["admit", "-f", "workloads.yaml", "--explain"],
        &[
            "check-flow",
            "--from",
            "shop/stranger",
            "--to",
            "shop/StatefulSet/db",
            "--port",
            "5432",
            "--explain",
        ],
        &["check-flow", "--from", "shop/nobody", "--to", "shop/StatefulSet/db", "--port", "5432"],
        &["authorize", "get", "pods", "--as", "alice", "-n", "shop"],
    ];
    for question in questions {
        let offline = folder.ask(question);
        let online = folder.run(&[question, &["--server", &address]].concat(), "");
        assert_eq!((offline.code, offline.out), (online.code, online.out), "{question:?}");
        assert_eq!(offline.err, online.err);
    }
    runtime.block_on(running.shutdown()).unwrap();
}

#[test]
fn the_demo_tells_the_tutorial() {
    let said = Folder::new().run(&["demo", "--once"], "");
    assert_eq!(said.code, 0, "{said:?}");
    for part in [
        "nonroot-deploy (runAsUser: 1001)                 allowed  nonroot-psp",
        "root-deploy, validate phase                      denied   nonroot-psp",
        "spec.containers[0].securityContext.runAsNonRoot: Required value: must be true",
        "shell -> apiserver:8080                          denied   accept-secureshell",
        "secureshell -> apiserver:8080                    allowed  accept-secureshell",
        "monitoring -> apiserver:5000                     allowed  api-allow-5000",
        "172.17.1.5 -> db:6379, excepted from it          denied   test-network-policy",
        "unable to admit pod: []",
        "to ServiceAccount \"default/sa-nonroot\", which does not exist",
        "all as the tutorial has them.",
    ] {
        assert!(said.out.contains(part), "{part} is not in\n{}", said.out);
    }
}

#[test]
fn completions_and_help() {
    let folder = Folder::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let said = folder.run(&["completions", shell], "");
        assert!(said.code == 0 && said.out.contains("check-flow"), "{shell}");
    }
    for command in ["admit", "check-flow", "authorize", "demo"] {
        let said = folder.run(&["help", command], "");
        assert!(said.code == 0 && said.out.contains("Examples:"), "{command}");
    }
}
