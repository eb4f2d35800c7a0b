#![allow(clippy::all, clippy::unwrap_used, missing_docs)]
use gavel_engine::admission::*;
use gavel_engine::rbac::{Action, User};
use gavel_engine::*;
use std::io::Read;
fn lines(p: &str) -> Vec<serde_json::Value> {
    let dir = std::env::var("GAVEL_CONFORMANCE").unwrap();
    let p = if p.starts_with('/') { p.to_string() } else { format!("{dir}/{p}") };
    let mut s = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(p).unwrap()).read_to_string(&mut s).unwrap();
    s.lines().map(|l| serde_json::from_str(l).unwrap()).collect()
}
fn snap<'a>(o: impl Iterator<Item = &'a serde_json::Value>) -> Snapshot {
    Snapshot::empty().apply(o.map(|v| {
        Change::Upsert(object::decode::decode_stored(v).unwrap_or_else(|e| panic!("{e:?} {v}")).unwrap())
    }))
}
fn user(v: &serde_json::Value, n: &str) -> User {
    User {
        name: v[n].as_str().unwrap_or("").into(),
        groups: v["groups"]
            .as_array()
            .map(|a| a.iter().map(|x| x.as_str().unwrap().to_string()).collect())
            .unwrap_or_default(),
    }
}
#[test]
fn psp() {
    let mut bad = 0;
    let mut n = 0;
    let file = std::env::var("PSP_FILE").unwrap_or("psp.jsonl.gz".into());
    for c in lines(&file) {
        n += 1;
        let s = snap(
            c["policies"].as_array().into_iter().flatten().chain(c["rbac"].as_array().into_iter().flatten()),
        );
        let r = &c["request"];
        let e = &c["expect"];
        for key in ["object", "raw"] {
            let objv = if key == "raw" {
                if c["raw"].is_null() {
                    continue;
                };
                &c["raw"]
            } else {
                &r["object"]
            };
            if key == "raw" && r["operation"] != "CREATE" {
                continue;
            }
            let obj = serde_json::to_vec(objv).unwrap();
            let old = serde_json::to_vec(&r["oldObject"]).unwrap();
            let u = user(&r["user"], "name");
            let q = AdmitRequest {
                operation: match r["operation"].as_str().unwrap() {
                    "CREATE" => Operation::Create,
                    "UPDATE" => Operation::Update,
                    "DELETE" => Operation::Delete,
                    _ => Operation::Connect,
                },
                group: "",
                resource: "pods",
                subresource: r["subresource"].as_str().unwrap_or(""),
                namespace: r["namespace"].as_str().unwrap(),
                name: r["name"].as_str().unwrap_or(""),
                user: &u,
                object: &obj,
                old_object: (!r["oldObject"].is_null()).then_some(&old[..]),
                phase: if r["phase"] == "validate" { Phase::Validate } else { Phase::MutateAndValidate },
                explain: true,
            };
            let d = s.admit(&q).unwrap();
            let mut why = vec![];
            if d.allowed != e["allowed"].as_bool().unwrap() {
                why.push("allowed")
            }
            let stage = match (d.reason, d.decided_in) {
                (Reason::NotApplicable, _) => "ignored",
                (_, Phase::Mutate) => "admit",
                _ => "validate",
            };
            if e["stage"] != "unhandled" && stage != e["stage"].as_str().unwrap() {
                why.push("stage")
            }
            if d.message != e["message"].as_str().unwrap_or("") {
                why.push("message")
            }
            let aud = |k: &str| {
                d.audit_annotations.iter().find(|(a, _)| a.ends_with(k)).map(|x| x.1.as_str()).unwrap_or("")
            };
            if aud("admit-policy") != e["psp"].as_str().unwrap_or("") {
                why.push("psp")
            }
            if aud("validate-policy") != e["validatePsp"].as_str().unwrap_or("") {
                why.push("validatePsp")
            }
            if key == "object" && d.allowed {
                let mut a = objv.clone();
                let mut b = objv.clone();
                let p: json_patch::Patch =
                    serde_json::from_value(serde_json::to_value(&d.patch).unwrap()).unwrap();
                json_patch::patch(&mut a, &p).unwrap();
                if !e["patch"].is_null() {
                    let p: json_patch::Patch = serde_json::from_value(e["patch"].clone()).unwrap();
                    json_patch::patch(&mut b, &p).unwrap();
                }
                if a != b {
                    why.push("patch")
                }
            }
            if !why.is_empty() {
                bad += 1;
                if bad < 12 {
                    println!(
                        "{} {key} {:?} {:?}\n  want {}\n  got  {}\n {:?} {}",
                        c["id"], why, c["tags"], e["message"], d.message, d.patch, e["patch"]
                    );
                }
            }
        }
    }
    println!("psp {n} bad {bad}");
    assert_eq!(bad, 0);
}
#[test]
fn rbac() {
    let mut bad = 0;
    let mut n = 0;
    for c in lines("rbac.jsonl.gz") {
        n += 1;
        let s = snap(c["rbac"].as_array().into_iter().flatten());
        let a = &c["attributes"];
        let g = |k: &str| a[k].as_str().unwrap_or("");
        let act = if a["path"].is_string() {
            Action::NonResource { verb: g("verb"), path: g("path") }
        } else {
            Action::Resource {
                verb: g("verb"),
                namespace: g("namespace"),
                api_group: g("apiGroup"),
                resource: g("resource"),
                subresource: g("subresource"),
                name: g("name"),
            }
        };
        let r = s.authorize(&user(a, "user"), &act);
        let e = &c["expect"];
        let ok = r.allowed == e["allowed"].as_bool().unwrap()
            && (r.reason == e["reason"].as_str().unwrap_or("")
                || e["reasons"].as_array().is_some_and(|l| l.iter().any(|x| x == &r.reason)));
        if !ok {
            bad += 1;
            println!("{} want {} got {:?}", c["id"], e, r);
        }
    }
    println!("rbac {n} bad {bad}");
    assert_eq!(bad, 0);
}
