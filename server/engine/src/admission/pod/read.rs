//! From the bytes of a request to a [`PodView`].

use super::{Container, PodView, Spec};
use crate::admission::request::InvalidRequest;
use crate::object::meta::Object;

/// Reads a pod from JSON; `field` is what the request calls it.
///
/// # Errors
/// When the bytes are no JSON, or no pod, with the path of the field that is to blame.
pub(in crate::admission) fn read<'a>(field: &str, bytes: &'a [u8]) -> Result<PodView<'a>, InvalidRequest> {
    if bytes.is_empty() {
        return Err(refuse(field, "", "must be set: the pod, as JSON".to_owned()));
    }
    // UTF-8 is checked quicker in one go than string by string. What no policy looks at need not be UTF-8: Go's decoder
    // takes it, too.
    let read = match std::str::from_utf8(bytes) {
        Ok(text) => serde_json::from_str(text),
        Err(_) => serde_json::from_slice(bytes),
    };
    // Where the error is costs time to keep track of, so it is only asked when there is one.
    let Object(pod): Object<PodView<'a>> = read.map_err(|_| why(field, bytes))?;
    complete(field, pod)
}

fn refuse(field: &str, path: &str, message: String) -> InvalidRequest {
    let field = if path.is_empty() { field.to_owned() } else { format!("{field}.{path}") };
    InvalidRequest { field, message }
}

/// Checks and defaults a pod, wherever it came from; `field` is what the request calls it.
///
/// # Errors
/// When it is no pod that could be.
pub(in crate::admission) fn complete<'a>(
    field: &str,
    mut pod: PodView<'a>,
) -> Result<PodView<'a>, InvalidRequest> {
    let version_is_wrong = !pod.api_version.is_empty() && &*pod.api_version != "v1";
    if version_is_wrong || !pod.kind.is_empty() && &*pod.kind != "Pod" {
        let what = format!("{} {}", &*pod.api_version, &*pod.kind);
        return Err(refuse(field, "kind", format!("must be a v1 Pod, not {}", what.trim())));
    }
    let Some(spec) = pod.spec.as_mut().filter(|spec| !spec.containers.is_empty()) else {
        return Err(refuse(field, "spec.containers", "a pod has at least one container".to_owned()));
    };
    default(spec);
    Ok(pod)
}

/// What the API's defaulting does to the fields at hand.
fn default(spec: &mut Spec<'_>) {
    if spec.service_account_name.is_empty() {
        spec.service_account_name = std::mem::take(&mut spec.service_account);
    }
    if spec.host_network {
        spec.containers.iter_mut().chain(&mut spec.init_containers).for_each(default_host_ports);
    }
}

/// `defaultHostNetworkPorts`.
fn default_host_ports(container: &mut Container<'_>) {
    for port in &mut container.ports {
        if port.host_port == 0 {
            port.host_port = port.container_port;
        }
    }
}

/// Reads once more, this time keeping track of where.
fn why(field: &str, bytes: &[u8]) -> InvalidRequest {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let error = match serde_path_to_error::deserialize::<_, Object<PodView<'_>>>(&mut deserializer) {
        Err(error) => error,
        // The pod is whole; something follows it.
        Ok(_) => {
            return refuse(field, "", "there is something behind the end of the object".to_owned());
        }
    };
    let path = error.path().to_string();
    let inner = error.into_inner();
    if inner.is_syntax() || inner.is_eof() {
        return refuse(field, "", format!("not JSON: {inner}"));
    }
    refuse(field, if path == "." { "" } else { &path }, inner.to_string())
}
