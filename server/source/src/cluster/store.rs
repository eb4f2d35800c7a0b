//! The objects of a snapshot, kept on disk: a server that starts while the API server is down answers from these.
//!
//! One file, `objects.redb`, in a directory of its own. Objects are kept as JSON, as the API server sent them (pods
//! trimmed to what policies look at), and are read anew: another version of Gavel may make more of them.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use gavel_engine::object::Kind;
use gavel_engine::{Object, ObjectKey};
use redb::{Database, Durability, ReadableDatabase as _, ReadableTable as _, TableDefinition};

use super::event::Stored;
use super::item;
use super::kinds::WATCHED;

/// By `KIND/NAMESPACE/NAME`.
const OBJECTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("objects");
/// When the API server was last heard from about everything, in milliseconds since 1970.
const HEARD: TableDefinition<'_, &str, u64> = TableDefinition::new("heard");
const HEARD_KEY: &str = "all";
const FILE: &str = "objects.redb";

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The directory cannot be made.
    #[error("{}: {source}", .path.display())]
    Directory {
        /// Which directory.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file cannot be read or written.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: Box<redb::Error>,
    },
}

/// What was stored.
#[derive(Debug, Default)]
pub struct Restored {
    /// The objects.
    pub objects: Vec<Object>,
    /// When the API server was last heard from; none: there is no whole snapshot in the store.
    pub heard: Option<SystemTime>,
    /// Objects that can no longer be read, and why.
    pub unreadable: Vec<String>,
}

/// The store. One process at a time may have it open.
#[derive(Debug)]
pub struct Store {
    database: Database,
    path: PathBuf,
}

impl Store {
    /// Opens the store in a directory, which is made if need be, for nobody else to read, and reads everything. A file
    /// that is damaged is put aside and begun anew: all of it can be had from the API server again.
    ///
    /// # Errors
    /// When the directory or the file cannot be used, for instance because another process has it open.
    pub fn open(directory: &Path) -> Result<(Self, Restored), StoreError> {
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(directory)
            .map_err(|source| StoreError::Directory { path: directory.to_owned(), source })?;
        let path = directory.join(FILE);
        match Self::open_file(&path) {
            Ok(opened) => Ok(opened),
            Err(Unusable::InUse(error)) => Err(failed(&path, error)),
            Err(Unusable::Damaged(error)) => {
                tracing::warn!(error, file = %path.display(), "the store cannot be read, and is begun anew");
                std::fs::rename(&path, directory.join(format!("{FILE}.damaged")))
                    .map_err(|source| StoreError::Directory { path: path.clone(), source })?;
                let database = Database::create(&path).map_err(|error| failed(&path, error))?;
                Ok((Self { database, path }, Restored::default()))
            }
        }
    }

    fn open_file(path: &Path) -> Result<(Self, Restored), Unusable> {
        // redb checks what it reads, and yet trusts some of it: of a damaged file it may panic.
        let opened = catch_unwind(|| {
            let mut database = Database::create(path)?;
            // By the checksums of its pages: a flipped bit must not become another policy.
            if !database.check_integrity()? {
                return Err(redb::Error::Corrupted("its checksums do not agree with it".to_owned()));
            }
            let store = Self { database, path: path.to_owned() };
            let restored = store.read()?;
            Ok::<_, redb::Error>((store, restored))
        });
        match opened {
            Ok(Ok(opened)) => Ok(opened),
            Ok(Err(error @ (redb::Error::DatabaseAlreadyOpen | redb::Error::Io(_))))
                if !is_cut_off(&error) =>
            {
                Err(Unusable::InUse(error))
            }
            Ok(Err(error)) => Err(Unusable::Damaged(error.to_string())),
            Err(_) => Err(Unusable::Damaged("reading it failed in an unforeseen way".to_owned())),
        }
    }

    fn read(&self) -> Result<Restored, redb::Error> {
        let mut restored = Restored::default();
        let transaction = self.database.begin_read()?;
        let heard = match transaction.open_table(HEARD) {
            Ok(table) => table.get(HEARD_KEY)?.map(|millis| millis.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let Some(heard) = heard else { return Ok(restored) };
        restored.heard = Some(SystemTime::UNIX_EPOCH + Duration::from_millis(heard));
        let table = transaction.open_table(OBJECTS)?;
        for entry in table.iter()? {
            let (key, json) = entry?;
            match object(key.value(), json.value()) {
                Some(object) => restored.objects.push(object),
                None => restored.unreadable.push(key.value().to_owned()),
            }
        }
        Ok(restored)
    }

    /// Takes changes over, all or nothing; with `heard`, that what is stored is whole, and of this time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, changes: &[Stored], heard: Option<SystemTime>) -> Result<(), StoreError> {
        self.commit(changes, heard).map_err(|error| failed(&self.path, error))
    }

    fn commit(&self, changes: &[Stored], heard: Option<SystemTime>) -> Result<(), redb::Error> {
        let mut transaction = self.database.begin_write()?;
        // Not worth waiting for the disk: after a crash the file is whole, and a little older.
        transaction.set_durability(Durability::None)?;
        if changes.len() > 1000 || heard.is_some() {
            transaction.set_durability(Durability::Immediate)?;
        }
        {
            let mut objects = transaction.open_table(OBJECTS)?;
            for Stored { key, json } in changes {
                let key = text(key);
                match json {
                    Some(json) => objects.insert(key.as_str(), json.as_slice())?,
                    None => objects.remove(key.as_str())?,
                };
            }
            if let Some(heard) = heard {
                let since = heard.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
                transaction.open_table(HEARD)?.insert(HEARD_KEY, millis)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn text(key: &ObjectKey) -> String {
    format!("{}/{}/{}", key.kind, key.namespace, key.name)
}

/// Why a file cannot be used.
enum Unusable {
    InUse(redb::Error),
    Damaged(String),
}

/// Whether the file ends before what it says is in it.
fn is_cut_off(error: &redb::Error) -> bool {
    matches!(error, redb::Error::Io(io) if matches!(
        io.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
    ))
}

fn object(key: &str, json: &[u8]) -> Option<Object> {
    let kind_name = key.split('/').next()?;
    let kind = WATCHED.into_iter().find(|kind| kind.as_str() == kind_name)?;
    item::read(kind, json)
        .ok()
        .or_else(|| (kind == Kind::NetworkPolicy).then(|| item::isolation_of(json)).flatten())
}

fn failed(path: &Path, error: impl Into<redb::Error>) -> StoreError {
    StoreError::File { path: path.to_owned(), source: Box::new(error.into()) }
}

#[cfg(test)]
mod tests;
