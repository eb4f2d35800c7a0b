//! Sockets: bound before anything is served, so that a taken port is told at once.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use tokio::net::{TcpListener, UnixListener, UnixStream};

use crate::config::Listen;

/// A socket that is bound.
#[derive(Debug)]
pub(crate) enum Bound {
    Tcp(TcpListener, SocketAddr),
    /// The file is removed when the guard is dropped.
    Unix(UnixListener, SocketFile),
}

/// As it is told: `127.0.0.1:9470`, or `unix:PATH`.
impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bound::Tcp(_, address) => address.fmt(f),
            Bound::Unix(_, SocketFile(path)) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The file of a unix socket.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Somebody may have removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Binds one address. The file of a unix socket gets the mode, if one is given: who may write to it may connect.
pub(crate) async fn bind(listen: &Listen, mode: Option<u32>) -> anyhow::Result<Bound> {
    match listen {
        Listen::Tcp(address) => {
            let listener = TcpListener::bind(address)
                .await
                .with_context(|| format!("--listen {address}: cannot bind"))?;
            let address = listener.local_addr()?;
            Ok(Bound::Tcp(listener, address))
        }
        Listen::Unix(path) => {
            remove_stale(path).await.with_context(|| format!("--listen unix:{}", path.display()))?;
            let listener = UnixListener::bind(path)
                .with_context(|| format!("--listen unix:{}: cannot bind", path.display()))?;
            let file = SocketFile(path.clone());
            if let Some(mode) = mode {
                let permissions = std::fs::Permissions::from_mode(mode);
                std::fs::set_permissions(path, permissions)
                    .with_context(|| format!("--listen unix:{}: cannot set its mode", path.display()))?;
            }
            Ok(Bound::Unix(listener, file))
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
