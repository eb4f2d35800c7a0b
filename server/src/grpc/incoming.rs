//! Sockets: bound before anything is served, so that a taken port is told at once.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Listen;

/// A socket that is bound.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(TcpListener),
    /// The file is removed when the guard is dropped.
    Unix(UnixListener, SocketFile),
}

/// The file of a unix socket.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl SocketFile {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds one address.
pub(crate) async fn bind(listen: &Listen) -> anyhow::Result<Bound> {
    match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("--listen {address}: cannot bind"))?;
            Ok(Bound::Tcp(listener))
        }
        Listen::Unix(path) => {
            remove_stale(path).await.with_context(|| format!("--listen unix:{}", path.display()))?;
            let listener = UnixListener::bind(path)
                .with_context(|| format!("--listen unix:{}: cannot bind", path.display()))?;
            Ok(Bound::Unix(listener, SocketFile(path.clone())))
        }
    }
}

/// Removes the socket of a server that is gone; one that still answers is left alone, as is any other file.
async fn remove_stale(path: &Path) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
        Ok(metadata) if !metadata.file_type().is_socket() => {
            anyhow::bail!("there is a file that is no socket")
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            anyhow::bail!("another server is listening there")
        }
        Ok(_) => Ok(std::fs::remove_file(path)?),
    }
}
