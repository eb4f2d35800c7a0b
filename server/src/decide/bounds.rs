//! How much a question may hold.
//!
//! Its bytes are limited before it is read, but a few bytes can be much to decide: `{},` is a container, which takes some
//! hundred times as much memory, and microseconds. A decision is not interrupted, so that one question of that kind
//! would hold up everybody else's. What is refused here is far beyond what a cluster could run.

use gavel_proto::v1 as pb;
use tonic::Status;

use super::invalid;

/// Values of an object, at whatever depth. A pod of a hundred containers, each with everything a container can have, is
/// of some ten thousand.
const MOST_VALUES: usize = 20_000;
/// Bytes a value takes at least, with what parts it from the next one.
const LEAST_BYTES: usize = 2;
/// Groups of one user. Tokens and certificates, by which an API server is told of them, hold some hundreds.
const MOST_GROUPS: usize = 10_000;
/// Labels of one end of a flow. An API server takes no object with more than 256 KiB of annotations, and objects have
/// fewer labels than that.
const MOST_LABELS: usize = 10_000;

/// # Errors
/// INVALID_ARGUMENT when the object has more values than anybody needs.
pub(super) fn object(field: &str, json: &[u8]) -> Result<(), Status> {
    // Ordinary objects are too small for that: they are not even looked at.
    if json.len() <= MOST_VALUES * LEAST_BYTES || values(json) <= MOST_VALUES {
        return Ok(());
    }
    Err(invalid(field, format!("has more than {MOST_VALUES} values: no pod does")))
}

/// # Errors
/// INVALID_ARGUMENT when there are more groups than anybody is in.
pub(super) fn groups(field: &str, groups: &[String]) -> Result<(), Status> {
    at_most(field, groups.len(), MOST_GROUPS)
}

/// # Errors
/// INVALID_ARGUMENT when there are more labels than anything has.
pub(super) fn labels(field: &str, labels: &pb::LabelsRef) -> Result<(), Status> {
    at_most(field, labels.labels.len(), MOST_LABELS)
}

fn at_most(field: &str, count: usize, most: usize) -> Result<(), Status> {
    if count > most { Err(invalid(field, format!("has {count} items, more than {most}"))) } else { Ok(()) }
}

/// How many values there may be in what may be JSON; those of empty lists and objects count double. Stops once there are
/// too many.
fn values(json: &[u8]) -> usize {
    let mut values = 1;
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' | b',' => values += 1,
            b'"' => skip_string(&mut bytes),
            _ => {}
        }
        if values > MOST_VALUES {
            break;
        }
    }
    values
}

/// Up to the quotation mark that ends a string.
fn skip_string(bytes: &mut std::slice::Iter<'_, u8>) {
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return,
            // Whatever comes next is part of the string.
            b'\\' => drop(bytes.next()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_counted() {
        for (json, count) in [
            (r"7", 1),
            (r"[1,2,3]", 4),
            (r#"{"a":1,"b":[true]}"#, 4),
            (r#"["{,[\",,","\\",1]"#, 4),
            (r#"["no end,,,"#, 2),
            (r#"["\"#, 2),
        ] {
            assert_eq!(values(json.as_bytes()), count, "{json}");
        }
    }

    #[test]
    fn what_is_long_need_not_be_much() {
        let text = format!(r#"{{"a":"{}"}}"#, ",".repeat(1 << 20));
        assert!(object("object", text.as_bytes()).is_ok());
        let list = |count: usize| format!("[{}1]", "1,".repeat(count - 1));
        assert!(object("object", list(MOST_VALUES - 1).as_bytes()).is_ok());
        let refused = object("object", list(MOST_VALUES).as_bytes()).unwrap_err();
        assert_eq!(refused.message(), "object: has more than 20000 values: no pod does");
    }
}
