//! What is known of one kind: enough to tell what a list or an event changes, and no more, since there may be many.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher as _, RandomState};

use gavel_engine::field::FieldError;
use gavel_engine::object::Kind;
use gavel_engine::{Change, Object, ObjectKey};

use super::event::{Instead, SetAside, Stored, Update};
use super::item::{self, Header};
use super::trim;

/// What is known of the objects of one kind.
#[derive(Debug)]
pub(super) struct Known {
    kind: Kind,
    /// By `NAMESPACE/NAME`, or `NAME`.
    entries: HashMap<Box<str>, Entry>,
    set_aside: BTreeMap<Box<str>, (Vec<FieldError>, Instead)>,
    /// Seeded: whoever makes pods cannot choose ones that are taken for each other.
    hasher: RandomState,
    /// Counts the lists.
    list: u32,
    /// Whether what is told is to be stored, too.
    stores: bool,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    /// Of a pod: of what policies look at, since the kubelet writes pods all the time, and hardly ever that. Of the
    /// others: of all of it. Not the resourceVersion: in an etcd that was restored from a backup, the same number may
    /// come to stand for something else.
    digest: u64,
    /// The last list it was in.
    list: u32,
    /// Whether it is in the snapshot.
    is_held: bool,
}

impl Known {
    /// With the objects that are in the snapshot already, from an earlier life.
    pub(super) fn new(kind: Kind, restored: impl IntoIterator<Item = Object>, stores: bool) -> Self {
        let hasher = RandomState::new();
        let entries = restored
            .into_iter()
            .map(|object| {
                let key = object.key();
                let digest = digest(&hasher, &object, b"");
                let entry = Entry { digest, list: 0, is_held: true };
                (name_of(&key.namespace, &key.name), entry)
            })
            .collect();
        Self { kind, entries, set_aside: BTreeMap::new(), hasher, list: 0, stores }
    }

    /// How many objects are known, those set aside included.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// A list begins: objects that it does not name are gone.
    pub(super) fn begin_list(&mut self) {
        self.list = self.list.wrapping_add(1);
    }

    /// The list has ended.
    pub(super) fn end_list(&mut self, update: &mut Update) {
        let gone: Vec<Box<str>> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.list != self.list)
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.forget(&name, update);
        }
        update.listed = true;
        // Told with every list: whoever listens may have started over.
        update.set_aside = Some(self.set_aside());
    }

    /// An object is new, or now this.
    ///
    /// # Errors
    /// When not even its name can be read.
    pub(super) fn upsert(&mut self, json: &[u8], update: &mut Update) -> Result<(), serde_json::Error> {
        let Header { metadata } = serde_json::from_slice(json)?;
        let name = name_of(&metadata.namespace, &metadata.name);
        update.written.push(metadata.version());
        let before = self.entries.get(&name).copied();
        let mut entry = Entry { digest: 0, list: self.list, is_held: true };
        match item::read(self.kind, json) {
            Ok(object) => {
                let was_good = !self.is_good(&name, update);
                entry.digest = digest(&self.hasher, &object, json);
                let is_same = before.is_some_and(|before| before.is_held && before.digest == entry.digest);
                if !(is_same && was_good) {
                    self.tell(object, json, update);
                }
            }
            Err(errors) => entry = self.put_aside(&name, json, errors, before, entry, update),
        }
        self.entries.insert(name, entry);
        Ok(())
    }

    /// An object is gone.
    ///
    /// # Errors
    /// When not even its name can be read.
    pub(super) fn remove(&mut self, json: &[u8], update: &mut Update) -> Result<(), serde_json::Error> {
        let Header { metadata } = serde_json::from_slice(json)?;
        update.written.push(metadata.version());
        self.forget(&name_of(&metadata.namespace, &metadata.name), update);
        Ok(())
    }

    /// The API server does not have the kind: nothing of it is there.
    pub(super) fn clear(&mut self, update: &mut Update) {
        self.begin_list();
        self.end_list(update);
    }

    fn tell(&self, object: Object, json: &[u8], update: &mut Update) {
        if self.stores {
            let json = match &object {
                Object::Pod(pod) => trim::pod(pod),
                _ => json.to_vec(),
            };
            update.stored.push(Stored { key: object.key(), json: Some(json) });
        }
        update.changes.push(Change::Upsert(object));
    }

    /// One object that cannot be read never stops the rest.
    fn put_aside(
        &mut self,
        name: &str,
        json: &[u8],
        errors: Vec<FieldError>,
        before: Option<Entry>,
        entry: Entry,
        update: &mut Update,
    ) -> Entry {
        let is_isolation = matches!(self.set_aside.get(name), Some((_, Instead::Isolation)));
        let isolation = || (self.kind == Kind::NetworkPolicy).then(|| item::isolation_of(json)).flatten();
        let (instead, entry) = match before.filter(|before| before.is_held && !is_isolation) {
            Some(before) => (Instead::LastGood, Entry { digest: before.digest, ..entry }),
            None => match isolation() {
                Some(isolation) => {
                    // Stored as it is: when it is read again, it is judged again.
                    self.tell(isolation, json, update);
                    (Instead::Isolation, entry)
                }
                None if is_isolation => (Instead::Isolation, entry),
                None => (Instead::Nothing, Entry { is_held: false, ..entry }),
            },
        };
        self.set_aside.insert(name.into(), (errors, instead));
        update.set_aside = Some(self.set_aside());
        entry
    }

    /// Not set aside any more; whether it was.
    fn is_good(&mut self, name: &str, update: &mut Update) -> bool {
        let was_set_aside = self.set_aside.remove(name).is_some();
        if was_set_aside {
            update.set_aside = Some(self.set_aside());
        }
        was_set_aside
    }

    fn forget(&mut self, name: &str, update: &mut Update) {
        self.is_good(name, update);
        if self.entries.remove(name).is_some_and(|entry| entry.is_held) {
            let key = self.key(name);
            if self.stores {
                update.stored.push(Stored { key: key.clone(), json: None });
            }
            update.changes.push(Change::Remove(key));
        }
    }

    fn set_aside(&self) -> Vec<SetAside> {
        self.set_aside
            .iter()
            .map(|(name, (errors, instead))| SetAside {
                object: self.key(name).to_string(),
                errors: errors.clone(),
                instead: *instead,
            })
            .collect()
    }

    fn key(&self, name: &str) -> ObjectKey {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        ObjectKey { kind: self.kind, namespace: namespace.into(), name: name.into() }
    }
}

fn name_of(namespace: &str, name: &str) -> Box<str> {
    if namespace.is_empty() { name.into() } else { format!("{namespace}/{name}").into() }
}

fn digest(hasher: &RandomState, object: &Object, json: &[u8]) -> u64 {
    match object {
        Object::Pod(pod) => hasher.hash_one(pod),
        _ => hasher.hash_one(json),
    }
}

#[cfg(test)]
mod tests;
