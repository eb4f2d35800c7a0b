//! What an API server sends: pages of lists, and lines of watches. Objects stay as they are written.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::item::Metadata;

/// `ListMeta`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ListMeta {
    pub(super) resource_version: String,
    #[serde(rename = "continue")]
    pub(super) token: String,
}

/// A page of a list.
#[derive(Deserialize)]
pub(super) struct Page<'a> {
    #[serde(default)]
    pub(super) metadata: ListMeta,
    #[serde(borrow, default)]
    pub(super) items: Option<Vec<&'a RawValue>>,
}

/// A line of a watch.
#[derive(Deserialize)]
pub(super) struct Line<'a> {
    #[serde(rename = "type")]
    pub(super) type_: &'a str,
    #[serde(borrow)]
    pub(super) object: &'a RawValue,
}

/// The object of a bookmark.
#[derive(Deserialize)]
pub(super) struct Bookmark {
    pub(super) metadata: BookmarkMeta,
}

#[derive(Deserialize)]
pub(super) struct BookmarkMeta {
    #[serde(flatten)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

impl BookmarkMeta {
    /// Whether all that was there at the beginning of a streaming list has been sent (KEP-3157).
    pub(super) fn ends_the_list(&self) -> bool {
        self.annotations.get("k8s.io/initial-events-end").is_some_and(|value| value == "true")
    }
}
