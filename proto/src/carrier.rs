//! What connections run on, and when a silent one is given up.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tonic::transport::server::{Connected, TcpIncoming};

use crate::limits::SILENCE_MAX;

/// A stream of bytes that a connection runs on.
pub trait Carrier: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static {}

impl<C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static> Carrier for C {}

/// The connections that come to a socket.
pub fn sockets(listener: TcpListener) -> impl Stream<Item = io::Result<TcpStream>> + Send {
    TcpIncoming::from(listener).with_nodelay(Some(true))
}

/// A carrier whose reads fail once its peer has been silent for [`SILENCE_MAX`] to twice that.
///
/// HTTP/2 looks after a peer only once that has said that it speaks it.
pub struct Heard<C> {
    carrier: C,
    /// Since `round` began. Looked at when that ends: no read has to know what time it is.
    heard: bool,
    round: Pin<Box<Sleep>>,
}

impl<C> Heard<C> {
    /// One of which nothing was heard yet.
    pub fn new(carrier: C) -> Self {
        Self { carrier, heard: false, round: Box::pin(sleep(SILENCE_MAX)) }
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Heard<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        // What has come counts, however late we are to look.
        if let Poll::Ready(read) = pin!(&mut this.carrier).poll_read(context, into) {
            this.heard = true;
            return Poll::Ready(read);
        }
        loop {
            ready!(this.round.as_mut().poll(context));
            if !this.heard {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            this.heard = false;
            this.round.as_mut().reset(Instant::now() + SILENCE_MAX);
        }
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Heard<C> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.get_mut().carrier).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        pin!(&mut self.get_mut().carrier).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().carrier).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        pin!(&mut self.get_mut().carrier).poll_shutdown(context)
    }
}

impl<C: Connected> Connected for Heard<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.carrier.connect_info()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_is_given_up_when_it_falls_silent_and_not_before() {
        let (near, mut peer) = duplex(64);
        let mut near = Heard::new(near);
        let mut byte = [0; 1];
        for _ in 0..20 {
            // Barely often enough.
            let (read, wrote) = tokio::join!(near.read(&mut byte), async {
                tokio::time::sleep(SILENCE_MAX - Duration::from_millis(2)).await;
                peer.write_all(b"a").await
            });
            assert_eq!((read.expect("it is not silent"), byte), (1, *b"a"));
            wrote.expect("nobody has hung up");
        }
        let silent = tokio::time::Instant::now();
        let error = near.read(&mut byte).await.expect_err("it says nothing");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!((SILENCE_MAX..2 * SILENCE_MAX).contains(&silent.elapsed()), "{silent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_nobody_looked_is_heard() {
        let (near, mut peer) = duplex(64);
        let mut near = Heard::new(near);
        peer.write_all(b"a").await.expect("nobody has hung up");
        tokio::time::sleep(10 * SILENCE_MAX).await;
        let mut byte = [0; 1];
        assert_eq!(near.read(&mut byte).await.expect("it said something"), 1);
    }
}
