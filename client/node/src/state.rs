//! What is kept on disk: which pods were isolated, and which are held.
//!
//! An agent that starts enforces this until a server has told it otherwise: after a restart of the machine, too, when the
//! kernel's rules are gone.

use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use gavel_client::v1::NodePod;
use serde::{Deserialize, Serialize};

use crate::holds::{Attachment, Hold, Holds};

/// What is kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct State {
    pub(crate) pods: Vec<NodePod>,
    pub(crate) holds: Holds,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// In the JSON form of the wire contract.
    pods: Vec<NodePod>,
    holds: Vec<WrittenHold>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WrittenHold {
    attachment: Attachment,
    hold: Hold,
}

/// The file of the state.
#[derive(Clone, Debug)]
pub(crate) struct StateFile(PathBuf);

impl StateFile {
    /// In this folder, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn new(folder: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--state-dir {}: cannot be made", folder.display()))?;
        Ok(Self(folder.join("state.json")))
    }

    /// What was kept; none: nothing was.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn read(&self) -> anyhow::Result<Option<State>> {
        let text = match std::fs::read_to_string(&self.0) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("{}: cannot be read", self.0.display())),
        };
        let written: Written = serde_json::from_str(&text).with_context(|| {
            format!("{}: is not what an agent wrote; remove it to begin without", self.0.display())
        })?;
        let holds = written.holds.into_iter().map(|held| (held.attachment, Arc::new(held.hold)));
        Ok(Some(State { pods: written.pods, holds: holds.collect() }))
    }

    /// Keeps this instead: whole, or not at all.
    ///
    /// # Errors
    /// When it cannot be written: what was kept before is still there.
    pub(crate) fn write(&self, state: &State) -> anyhow::Result<()> {
        let holds = state.holds.iter();
        let holds = holds.map(|(attachment, hold)| WrittenHold {
            attachment: attachment.clone(),
            hold: Hold::clone(hold),
        });
        let written = Written { pods: state.pods.clone(), holds: holds.collect() };
        let folder = self.0.parent().unwrap_or(Path::new("."));
        let write = || -> anyhow::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            serde_json::to_writer(&mut file, &written)?;
            file.flush()?;
            file.as_file().sync_data()?;
            file.persist(&self.0)?;
            Ok(())
        };
        write().with_context(|| format!("{}: cannot be written", self.0.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::new(&folder.path().join("new")).unwrap();
        assert_eq!(file.read().unwrap(), None);
        let attachment = Attachment { container_id: "c1".into(), ifname: "eth0".into() };
        let hold = Hold {
            namespace: "n".into(),
            pod: "p".into(),
            uid: "u".into(),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
        };
        let pod = NodePod {
            namespace: "n".into(),
            name: "q".into(),
            uid: "v".into(),
            ips: vec!["10.0.0.2".into()],
            ingress_isolated: true,
            egress_isolated: false,
        };
        let state = State { pods: vec![pod], holds: Holds::from([(attachment, Arc::new(hold))]) };
        for state in [state, State::default()] {
            file.write(&state).unwrap();
            assert_eq!(file.read().unwrap(), Some(state));
        }
        // Nothing else is left there.
        assert_eq!(std::fs::read_dir(folder.path().join("new")).unwrap().count(), 1);
        std::fs::write(folder.path().join("new/state.json"), "{").unwrap();
        let error = format!("{:#}", file.read().unwrap_err());
        assert!(error.contains("state.json: is not what an agent wrote"), "{error}");
    }
}
