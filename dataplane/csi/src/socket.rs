//! Unix sockets: listening on one, calling one.

use crate::CsiError;
use crate::authority::Filtered;
use hyper_util::rt::TokioIo;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

/// The path in `unix:///csi/csi.sock`, `unix:/csi/csi.sock` or `/csi/csi.sock`.
///
/// **Errors**: `Invalid` for what is no absolute path of a socket.
pub(crate) fn path_of(endpoint: &str) -> Result<PathBuf, CsiError> {
    let path = endpoint.strip_prefix("unix://").or(endpoint.strip_prefix("unix:"));
    let path = PathBuf::from(path.unwrap_or(endpoint));
    if path.is_absolute() && !endpoint.contains("://") | endpoint.starts_with("unix://") {
        return Ok(path);
    }
    let why = format!("{endpoint:?} is not unix:///path/of/a/socket");
    Err(CsiError::invalid("alluxio.csi.endpoint", why))
}

/// Listens at `path`, in the place of a process that is gone.
///
/// **Errors**: `Io`, also when somebody listens there already.
pub(crate) async fn listen(path: &Path) -> Result<UnixListener, CsiError> {
    if UnixStream::connect(path).await.is_ok() {
        let taken = std::io::Error::new(ErrorKind::AddrInUse, "another process listens there");
        return Err(CsiError::io("listen at", path)(taken));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(CsiError::io("remove", path)(error));
        }
        _ => {}
    }
    UnixListener::bind(path).map_err(CsiError::io("listen at", path))
}

/// Serves until `stop`, and lets calls that are under way end. By whatever name callers call the socket.
///
/// **Errors**: what the transport says.
pub(crate) async fn serve(
    listener: UnixListener,
    routes: Routes,
    stop: impl Future<Output = ()>,
) -> Result<(), tonic::transport::Error> {
    let incoming = UnixListenerStream::new(listener).map(|client| client.map(Filtered::new));
    Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, stop).await
}

/// A channel that connects when it is used, and again when the other side was restarted.
pub(crate) fn channel(path: &Path) -> Channel {
    let path = path.to_owned();
    // The name is sent as the authority and means nothing.
    Endpoint::from_static("http://localhost").connect_with_connector_lazy(tower::service_fn(
        move |_| {
            let path = path.clone();
            async move { UnixStream::connect(path).await.map(TokioIo::new) }
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_sockets_with_absolute_paths() {
        for endpoint in ["unix:///csi/csi.sock", "unix:/csi/csi.sock", "/csi/csi.sock"] {
            assert_eq!(path_of(endpoint).unwrap(), Path::new("/csi/csi.sock"));
        }
        for endpoint in ["", "csi.sock", "tcp://0.0.0.0:1", "unix://csi.sock", "unix:x"] {
            assert!(path_of(endpoint).is_err(), "{endpoint}");
        }
    }

    #[tokio::test]
    async fn a_socket_that_a_dead_process_left_is_taken_over_and_a_live_one_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("csi.sock");
        let first = listen(&path).await.unwrap();
        assert!(listen(&path).await.is_err());
        drop(first);
        assert!(path.exists());
        listen(&path).await.unwrap();
    }
}
