//! Sources: they know objects and changes, never the snapshot.
