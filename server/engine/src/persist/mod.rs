//! Persistent tables: cheap to clone, and a change to a clone copies only the small pieces it touches.
//!
//! All of them are tries of `Arc`ed nodes that are changed through [`Arc::make_mut`](std::sync::Arc::make_mut): a node that nobody else holds is
//! changed in place, so that building a table from nothing copies nothing; a node that an older snapshot still holds
//! is copied first. Leaves are small flat tables, so that looking something up costs little more than in one large
//! flat table.
//!
//! | table | maps | as |
//! |---|---|---|
//! | [`Table`] | hashes to entries | 16-way trie over hash bits, leaves of up to [`table::SPLIT`] entries |
//! | [`FlatTable`] | hashes to small entries that are read at every question | the same, leaves that are one piece of memory |
//! | [`Vector`] | small integers to values | trie over index bits, 8 or more ways, leaves of 8 or more |
//! | [`Pages`] | small integers to plain data that is read at every question | two levels above leaves of 16 |
//! | [`Slab`] | integers it hands out to values | [`Vector`] with a list of free places |
//! | [`Registry`] | values to the integers they are known by | [`Slab`] with a [`Table`] of hashes |
//! | [`IdSet`] | a set of small integers | a sorted list, or once that is long, bits in a [`Vector`] |

mod flat_table;
mod id_set;
mod pages;
mod registry;
mod slab;
mod table;
#[cfg(test)]
mod tests;
mod vector;

pub(crate) use flat_table::FlatTable;
pub(crate) use id_set::IdSet;
pub(crate) use pages::Pages;
pub(crate) use registry::Registry;
pub(crate) use slab::Slab;
pub(crate) use table::Table;
pub(crate) use vector::Vector;
