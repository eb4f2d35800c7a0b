//! A certificate issued here, kept in a Secret that all replicas share.

use std::collections::BTreeMap;

use anyhow::Context as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::cluster::{MANAGER, TRIES, is_conflict};
use super::issue::{Kept, Order};
use super::pair::Pair;
use crate::config::SecretName;

const TYPE: &str = "kubernetes.io/tls";
const LABEL: &str = "app.kubernetes.io/managed-by";

/// Issues what is missing in a Secret. Of several replicas the first one's certificate is that of all: whoever comes
/// later finds the Secret changed, and reads it again.
pub(super) async fn ensure(client: &Client, name: &SecretName, order: &Order) -> anyhow::Result<Kept> {
    let api: Api<Secret> = Api::namespaced(client.clone(), &name.namespace);
    let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
    for _ in 0..TRIES {
        let found = api.get_opt(&name.name).await.with_context(|| format!("Secret {name}"))?;
        let old = found.as_ref().map(read);
        let is_ours = found.as_ref().is_none_or(is_ours);
        let kept = order.fill(old.as_ref().filter(|old| **old != Pair::default()))?;
        let Some(why) = &kept.issued else { return Ok(kept) };
        anyhow::ensure!(
            is_ours,
            "Secret {name} holds something that gavel-webhook did not issue, and that cannot be used ({why}): \
             name another one, or delete it"
        );
        let written = match found {
            Some(found) => api.replace(&name.name, &params, &secret(name, &kept.pair, found.metadata)).await,
            None => api.create(&params, &secret(name, &kept.pair, ObjectMeta::default())).await,
        };
        match written {
            Ok(_) => return Ok(kept),
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error).with_context(|| format!("Secret {name}")),
        }
    }
    anyhow::bail!("Secret {name} was changed by somebody else, {TRIES} times in a row")
}

fn read(secret: &Secret) -> Pair {
    let read = |key: &str| {
        let value = secret.data.as_ref().and_then(|data| data.get(key));
        value.map(|ByteString(bytes)| bytes.clone()).unwrap_or_default()
    };
    Pair { authorities: read("ca.crt"), certificate: read("tls.crt"), key: read("tls.key") }
}

/// Whether it may be overwritten: it was made here, or made empty so that nobody has to be let create Secrets (a right
/// that cannot be limited to a name).
fn is_ours(secret: &Secret) -> bool {
    let is_tls = secret.type_.as_deref() == Some(TYPE);
    let is_labelled =
        secret.metadata.labels.as_ref().and_then(|labels| labels.get(LABEL)).is_some_and(|by| by == MANAGER);
    let Pair { authorities: _, certificate, key } = read(secret);
    is_tls && (is_labelled || (certificate.is_empty() && key.is_empty()))
}

/// The Secret as it is to be. Its resourceVersion, if it has one, is that it was read with.
fn secret(name: &SecretName, pair: &Pair, old: ObjectMeta) -> Secret {
    let Pair { authorities, certificate, key } = pair;
    let entry = |key: &str, value: &Vec<u8>| (key.to_owned(), ByteString(value.clone()));
    let mut metadata = ObjectMeta {
        name: Some(name.name.clone()),
        namespace: Some(name.namespace.clone()),
        managed_fields: None,
        ..old
    };
    metadata.labels.get_or_insert_default().insert(LABEL.to_owned(), MANAGER.to_owned());
    Secret {
        metadata,
        type_: Some(TYPE.to_owned()),
        data: Some(BTreeMap::from([
            entry("ca.crt", authorities),
            entry("tls.crt", certificate),
            entry("tls.key", key),
        ])),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_is_overwritten() {
        let name = SecretName { namespace: "n".to_owned(), name: "s".to_owned() };
        let pair = Pair { authorities: b"a".to_vec(), certificate: b"c".to_vec(), key: b"k".to_vec() };
        let ours = secret(&name, &pair, ObjectMeta::default());
        assert!(is_ours(&ours));
        assert_eq!(read(&ours), pair);
        let mut foreign = ours.clone();
        foreign.metadata.labels = None;
        assert!(!is_ours(&foreign));
        let mut empty = secret(&name, &Pair::default(), ObjectMeta::default());
        empty.metadata.labels = None;
        assert!(is_ours(&empty));
        assert!(!is_ours(&Secret { type_: Some("Opaque".to_owned()), ..empty }));
    }
}
