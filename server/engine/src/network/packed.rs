//! Labels in one piece of memory.

use crate::object::{LabelSelector, Labels};
use crate::selector::matches_by;

/// The labels of an identity, in ascending order of their keys. Ten times smaller than a map of strings, and read
/// through at once: pods have few labels, clusters many pods.
///
/// Of each label: length of key and value (four bytes each), key, value.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PackedLabels(Box<[u8]>);

impl PackedLabels {
    pub(super) fn new(labels: &Labels) -> Self {
        let size = labels.iter().map(|(key, value)| 8 + key.len() + value.len()).sum();
        let mut bytes = Vec::with_capacity(size);
        for (key, value) in labels {
            for text in [key, value] {
                let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
                bytes.extend_from_slice(&length.to_le_bytes());
            }
            bytes.extend_from_slice(key.as_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
        Self(bytes.into())
    }

    /// Keys and values.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let (key_length, after) = rest.split_first_chunk::<4>()?;
            let (value_length, after) = after.split_first_chunk::<4>()?;
            let (key, after) = after.split_at_checked(u32::from_le_bytes(*key_length) as usize)?;
            let (value, after) = after.split_at_checked(u32::from_le_bytes(*value_length) as usize)?;
            rest = after;
            Some((key, value))
        })
    }

    /// Whether the selector matches.
    pub(super) fn meet(&self, selector: &LabelSelector) -> bool {
        matches_by(selector, |key| {
            self.iter().find(|(other, _)| *other == key.as_bytes()).map(|(_, value)| value)
        })
    }
}
