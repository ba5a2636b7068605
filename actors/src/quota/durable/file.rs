//! The file: a table for each set of actors, an entry for each account. Everything here blocks; nothing here knows when.
//!
//! Key: the account's owner; value: when it was taken (nanoseconds since 1970), and the account, its instants as ages.
//! Both in postcard's format, so that a key is found by the owner alone. `format` in the table `meta` is the version.

use std::{
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use redb::{
    Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition,
    TableError,
};
use serde::{Deserialize, Serialize};

use crate::quota::{
    changes::Change,
    moving::{Moved, Owner},
};

/// An open file. While it is, no other process can open it.
pub(super) struct File(Database);

/// What is to be written of one account, by key; `None`: it is removed.
pub(super) type Entry = (Vec<u8>, Option<Vec<u8>>);

#[derive(Serialize, Deserialize)]
struct Stored {
    taken: u64,
    account: Moved,
}

type Table = TableDefinition<'static, &'static [u8], &'static [u8]>;

const META: TableDefinition<'static, &'static str, u32> = TableDefinition::new("meta");
/// Changes with every change of [`Stored`] or of a key.
const FORMAT: u32 = 1;
/// Bytes of pages that are kept in memory; entries are written once and read once.
const CACHE: usize = 16 << 20;
/// As many accounts are handed on together.
const TOGETHER: usize = 1024;

impl File {
    /// Opens the file, or makes it. Says why not in words that follow the file's name.
    pub(super) fn open(path: &Path) -> Result<Self, String> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE).set_check_integrity_on_open(true);
        let file = Self(builder.create(path).map_err(|error| unopened(&error))?);
        match file.format().map_err(|error| error.to_string())? {
            FORMAT => Ok(file),
            other => Err(format!("it is of format {other}, and this version knows {FORMAT}")),
        }
    }

    /// The version it is of; a new file is of this one.
    fn format(&self) -> Result<u32, redb::Error> {
        let write = self.0.begin_write()?;
        let format = {
            let mut meta = write.open_table(META)?;
            let format = meta.get("format")?.map(|format| format.value());
            if format.is_none() {
                meta.insert("format", FORMAT)?;
            }
            format.unwrap_or(FORMAT)
        };
        write.commit()?;
        Ok(format)
    }

    /// Reads all accounts of a table, as old as they are by now, some at a time.
    pub(super) fn read(&self, table: &'static str, mut each: impl FnMut(Vec<Moved>)) -> Result<(), String> {
        let read = self.0.begin_read().map_err(|error| error.to_string())?;
        let table = match read.open_table(definition(table)) {
            Ok(table) => table,
            Err(TableError::TableDoesNotExist(_)) => return Ok(()),
            Err(error) => return Err(error.to_string()),
        };
        let (now, mut accounts) = (now(), Vec::with_capacity(TOGETHER));
        for entry in table.iter().map_err(|error| error.to_string())? {
            let (_, value) = entry.map_err(|error| error.to_string())?;
            let stored: Stored =
                postcard::from_bytes(value.value()).map_err(|_| "an entry is damaged".to_owned())?;
            // A clock that was set back makes nothing older than it was.
            let later = Duration::from_nanos(now.saturating_sub(stored.taken));
            accounts.push(stored.account.aged(later));
            if accounts.len() == TOGETHER {
                each(std::mem::take(&mut accounts));
            }
        }
        each(accounts);
        Ok(())
    }

    /// Writes these entries of these tables, all or none, and returns when they are on the disk.
    pub(super) fn write(&self, tables: &[(&'static str, Vec<Entry>)]) -> Result<(), redb::Error> {
        let write = self.0.begin_write()?;
        for (table, entries) in tables {
            let mut table = write.open_table(definition(table))?;
            for (key, value) in entries {
                match value {
                    Some(value) => drop(table.insert(key.as_slice(), value.as_slice())?),
                    None => drop(table.remove(key.as_slice())?),
                }
            }
        }
        Ok(write.commit()?)
    }
}

/// What is to be written of a change that was told just now.
pub(super) fn entry(Change { id, account }: Change) -> Entry {
    let stored = account.map(|account| Stored { taken: now(), account });
    (bytes(&Owner::of(&id)), stored.map(|stored| bytes(&stored)))
}

fn bytes(value: &impl Serialize) -> Vec<u8> {
    // Plain structs, numbers and text: postcard refuses none of them.
    #[allow(clippy::expect_used)]
    postcard::to_stdvec(value).expect("a plain value is written")
}

fn definition(name: &'static str) -> Table {
    TableDefinition::new(name)
}

/// Nanoseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn unopened(error: &DatabaseError) -> String {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            "another process holds it".to_owned()
        }
        DatabaseError::Storage(StorageError::Io(error)) => error.to_string(),
        damaged => format!("the file is damaged, or no storage of ours ({damaged})"),
    }
}
