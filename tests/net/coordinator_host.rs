//! The coordinator's host: the real shell and server over the pretended disk and network.

use std::io;
use std::rc::Rc;

use coordinator::journal::LogJournal;
use coordinator::{Coordinator, Place};
use domain::JournalId;
use store::Store;
use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use turmoil::net::TcpListener;

use crate::{LEASE, PORT, Scene};

/// Bytes between a connection and the server.
const BETWEEN: usize = 64 << 10;

/// Serves until it is killed, or its disk ends it.
pub async fn serve(scene: Rc<Scene>) -> turmoil::Result {
    scene.disk.switch_on();
    let served = coordinate(&scene).await;
    // On a disk that lost its power, or has no room for a start, that is as it should be: it is started again.
    if scene.disk.is_well() { served } else { Ok(()) }
}

async fn coordinate(scene: &Scene) -> turmoil::Result {
    let folder = scene.folder.path().to_owned();
    let (journal, replay) = LogJournal::open_on(scene.disk.files(), &folder, JournalId([7; 16]))?;
    let results = Store::Folder(scene.results()).prepare()?;
    let coordinator = Coordinator::open(journal, replay, Place { folder, results, lease: LEASE })?;
    let listener = TcpListener::bind(("0.0.0.0", PORT)).await?;
    let (sender, connections) = mpsc::channel(16);
    tokio::spawn(accept(listener, sender));
    let token = scene.connection.token.clone();
    let connections = ReceiverStream::new(connections);
    coordinator.serve(connections, token, None, std::future::pending()).await?;
    Ok(())
}

async fn accept(listener: TcpListener, connections: mpsc::Sender<io::Result<DuplexStream>>) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (near, mut far) = duplex(BETWEEN);
        tokio::spawn(async move { drop(copy_bidirectional(&mut stream, &mut far).await) });
        if connections.send(Ok(near)).await.is_err() {
            return;
        }
    }
}
