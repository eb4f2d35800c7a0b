#![allow(clippy::all, clippy::unwrap_used, missing_docs)]
use gavel_engine::*;
use std::collections::BTreeMap;
use std::io::Read;
#[test]
fn t() {
    for f in ["psp", "rbac", "netpol"] {
        let mut s = String::new();
        flate2::read::GzDecoder::new(
            std::fs::File::open(format!("/work/shared/conformance/{f}.jsonl.gz")).unwrap(),
        )
        .read_to_string(&mut s)
        .unwrap();
        let mut m: BTreeMap<String, usize> = BTreeMap::new();
        for l in s.lines() {
            let c: serde_json::Value = serde_json::from_str(l).unwrap();
            for k in ["policies", "rbac", "pods", "namespaces"] {
                for o in c[k].as_array().into_iter().flatten() {
                    if let Err(e) = object::decode::decode(o) {
                        for x in e {
                            *m.entry(format!("{k}: {}: {}", x.path, x.message)).or_default() += 1;
                        }
                    }
                }
            }
        }
        println!("{f} {m:#?}");
    }
}
