//! Peers that connect and say nothing, or only how one begins: they are let go, and an idle worker is not. Time is pretended.

use std::io;
use std::path::Path;
use std::time::Duration;

use coordinator::journal::LogJournal;
use coordinator::{Coordinator, Place, ServeError};
use domain::JournalId;
use proto::client::Client;
use proto::connection::{Connection, Token};
use proto::limits::{HANDSHAKE_TIMEOUT, SILENCE_MAX};
use proto::server::TlsIdentity;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;

const TOKEN: &str = "a-token-for-peers-that-say-something";

type Doors = mpsc::Sender<io::Result<DuplexStream>>;

/// A coordinator to which one comes by a door.
fn begin(folder: &Path, tls: Option<TlsIdentity>) -> (Doors, JoinHandle<Result<(), ServeError>>) {
    let (journal, replay) = LogJournal::open(folder, JournalId([7; 16])).expect("a new journal");
    let results = store::Store::Folder(folder.join("results")).prepare().expect("a folder");
    let place = Place { folder: folder.to_owned(), results, lease: Duration::from_secs(30) };
    let coordinator = Coordinator::open(journal, replay, place).expect("an empty journal");
    let (doors, connections) = mpsc::channel(8);
    let token = Token::new(TOKEN.to_owned());
    let serve =
        coordinator.serve(ReceiverStream::new(connections), token, tls, std::future::pending());
    (doors, tokio::spawn(serve))
}

async fn enter(doors: &Doors) -> DuplexStream {
    let (near, far) = duplex(64 << 10);
    doors.send(Ok(near)).await.expect("it serves");
    far
}

/// How long a peer that says `words` and no more is kept.
async fn kept(doors: &Doors, words: &[u8]) -> Duration {
    let mut peer = enter(doors).await;
    let since = Instant::now();
    peer.write_all(words).await.expect("nobody has hung up");
    let mut heard = Vec::new();
    let end = timeout(Duration::from_secs(3_600), peer.read_to_end(&mut heard)).await;
    drop(end.expect("it is let go within an hour"));
    since.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_says_nothing_is_let_go_and_an_idle_client_stays() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (doors, serving) = begin(folder.path(), None);
    let connection = Connection {
        url: "http://coordinator:1".to_owned(),
        certificate: None,
        token: Token::new(TOKEN.to_owned()),
    };
    let door = doors.clone();
    let dial = move || {
        let door = door.clone();
        async move { Ok(enter(&door).await) }
    };
    let client = Client::connect_by(&connection, dial).await.expect("it answers");
    for words in [b"".as_slice(), b"PRI * HTTP", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let kept = kept(&doors, words).await;
        assert!(kept <= 2 * SILENCE_MAX, "{words:?} was kept for {kept:?}");
    }
    tokio::time::sleep(20 * SILENCE_MAX).await;
    drop(doors);
    // Nobody could connect anew.
    assert!(client.list().await.expect("it is connected still").is_empty());
    assert!(!serving.is_finished());
    serving.abort();
}

#[tokio::test(start_paused = true)]
async fn a_handshake_that_does_not_end_is_given_up() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let made = rcgen::generate_simple_self_signed(vec!["coordinator".to_owned()]);
    let made = made.expect("a certificate");
    let tls = TlsIdentity { certificate: made.cert.pem(), key: made.signing_key.serialize_pem() };
    let (doors, serving) = begin(folder.path(), Some(tls));
    // The second is the head of a record that announces more.
    for words in [b"".as_slice(), &[22, 3, 1, 2, 0, 1]] {
        let kept = kept(&doors, words).await;
        assert!(kept <= HANDSHAKE_TIMEOUT + Duration::from_secs(1), "{words:?}: {kept:?}");
    }
    serving.abort();
}
