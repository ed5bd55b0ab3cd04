//! The connection to the coordinator: opened, watched for silence, lost, and opened again after a while.
//!
//! ```text
//!            the wait is over          welcome
//! Waiting ─────────────────▶ Opening ─────────▶ Open
//!    ▲                          │ no              │ ended, failed, silent
//!    └──────────────────────────┴─────────────────┘
//! ```

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use domain::WorkerId;
use proto::client::{Client, Incoming};
use proto::connection::{Connection, ConnectionError};
use proto::error::{ApiError, CallError};
use proto::limits::SESSION_QUEUE;
use proto::message::{FromWorker, Hello, ToWorker};
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep_until, timeout};

use super::{backoff, clock};

/// How long opening may take, the welcome included.
const OPEN_LIMIT: Duration = Duration::from_secs(30);

/// A session that lasted this long was a good one: the next wait is the first again.
const GOOD_SESSION: Duration = Duration::from_secs(5);

/// The shortest time between heartbeats, whatever the coordinator says.
const HEARTBEAT_MIN: Duration = Duration::from_millis(10);

/// The longest silence or time between heartbeats, so that no peer can make a deadline overflow.
const TERM_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long the coordinator may take to read a goodbye.
const GOODBYE_LIMIT: Duration = Duration::from_secs(2);

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error("the coordinator did not answer within {} s", limit.as_secs_f64())]
    Silent { limit: Duration },
    #[error("the coordinator ended the session")]
    Ended,
    #[error("the coordinator did not begin with a welcome")]
    NoWelcome,
}

impl LinkError {
    /// The coordinator's answer, where it gave one.
    pub fn answer(&self) -> Option<&ApiError> {
        match self {
            Self::Call(CallError::Answer(answer)) => Some(answer),
            _ => None,
        }
    }
}

/// What happened on the link.
pub enum Turn {
    /// It is time to say hello: [`Link::open`].
    HelloDue,
    /// The coordinator welcomed this worker.
    Opened(Client),
    /// There is no session, or none any more; the link waits.
    Lost(LinkError),
    Said(ToWorker),
    /// There is room for a message.
    Room,
    HeartbeatDue,
}

/// Finds the coordinator and connects to it, anew at each try.
pub type Find =
    Box<dyn Fn() -> Pin<Box<dyn Future<Output = Result<Client, LinkError>> + Send>> + Send>;

/// Finds the coordinator that wrote the connection file at `path` last.
pub fn by_file(path: PathBuf) -> Find {
    Box::new(move || {
        let path = path.clone();
        Box::pin(async move { Ok(Client::connect(&Connection::read(&path)?).await?) })
    })
}

/// The link of one worker.
pub struct Link {
    find: Find,
    worker: WorkerId,
    state: State,
    tries: u32,
    /// Since when there is no session.
    away_since: Instant,
}

type Opening = Pin<Box<dyn Future<Output = Result<(Client, Session), LinkError>> + Send>>;

enum State {
    Waiting { until: Instant },
    Opening(Opening),
    Open(Box<Session>),
}

struct Session {
    incoming: Incoming<ToWorker>,
    outgoing: mpsc::Sender<FromWorker>,
    heartbeat: Interval,
    silence: Duration,
    silent_at: Instant,
    opened: Instant,
}

impl Link {
    /// A link, not yet open.
    pub fn new(find: Find, worker: WorkerId) -> Self {
        let now = clock::timer();
        let state = State::Waiting { until: now };
        Self { find, worker, state, tries: 0, away_since: now }
    }

    /// Since when no session is open; `None`: one is.
    pub fn away_since(&self) -> Option<Instant> {
        (!self.is_open()).then_some(self.away_since)
    }

    /// Whether a session is open.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Begins to open a session.
    pub fn open(&mut self, hello: Hello) {
        let found = (self.find)();
        self.state = State::Opening(Box::pin(async move {
            let opened = timeout(OPEN_LIMIT, open(found, hello)).await;
            opened.unwrap_or(Err(LinkError::Silent { limit: OPEN_LIMIT }))
        }));
    }

    /// Waits for what happens next. May be cancelled: nothing is lost.
    pub async fn turn(&mut self, has_message: bool) -> Turn {
        let error = match &mut self.state {
            State::Waiting { until } => {
                sleep_until(*until).await;
                return Turn::HelloDue;
            }
            State::Opening(opening) => match opening.await {
                Ok((client, session)) => {
                    self.state = State::Open(Box::new(session));
                    return Turn::Opened(client);
                }
                Err(error) => error,
            },
            State::Open(session) => match session.turn(has_message).await {
                Ok(turn) => return turn,
                Err(error) => {
                    self.away_since = clock::timer();
                    if self.away_since.duration_since(session.opened) >= GOOD_SESSION {
                        self.tries = 0;
                    }
                    error
                }
            },
        };
        let until = clock::timer() + backoff::wait(self.worker, self.tries);
        self.tries = self.tries.saturating_add(1);
        self.state = State::Waiting { until };
        Turn::Lost(error)
    }

    /// Whether a message can leave now.
    pub fn has_room(&self) -> bool {
        matches!(&self.state, State::Open(session) if session.outgoing.capacity() > 0)
    }

    /// Sends a message for which there is room.
    pub fn send(&self, message: FromWorker) {
        if let State::Open(session) = &self.state {
            // It fails where the stream has just ended: what matters is sent again on the next one.
            drop(session.outgoing.try_send(message));
        }
    }

    /// Says goodbye and waits for the coordinator to have read it, for a while.
    pub async fn goodbye(self) {
        let State::Open(session) = self.state else { return };
        let Session { mut incoming, outgoing, .. } = *session;
        let leave = async move {
            drop(outgoing.send(FromWorker::Goodbye).await);
            drop(outgoing);
            while let Ok(Some(_)) = incoming.next().await {}
        };
        drop(timeout(GOODBYE_LIMIT, leave).await);
    }
}

impl Session {
    async fn turn(&mut self, has_message: bool) -> Result<Turn, LinkError> {
        tokio::select! {
            message = self.incoming.next() => {
                self.silent_at = clock::timer() + self.silence;
                message?.map(Turn::Said).ok_or(LinkError::Ended)
            }
            room = self.outgoing.reserve(), if has_message => match room {
                Ok(_) => Ok(Turn::Room),
                // Nobody takes our messages any more. The other direction may still say why.
                Err(_) => match timeout(GOODBYE_LIMIT, self.incoming.next()).await {
                    Ok(message) => message?.map(Turn::Said).ok_or(LinkError::Ended),
                    Err(_) => Err(LinkError::Ended),
                },
            },
            _ = self.heartbeat.tick() => Ok(Turn::HeartbeatDue),
            () = sleep_until(self.silent_at) => Err(LinkError::Silent { limit: self.silence }),
        }
    }
}

async fn open(
    found: impl Future<Output = Result<Client, LinkError>>,
    hello: Hello,
) -> Result<(Client, Session), LinkError> {
    let client = found.await?;
    let (outgoing, receiver) = mpsc::channel(SESSION_QUEUE);
    drop(outgoing.try_send(FromWorker::Hello(hello)));
    let mut incoming = client.session(receiver).await?;
    match incoming.next().await? {
        Some(ToWorker::Welcome { lease, heartbeat, .. }) => {
            let session = Session::begin(incoming, outgoing, lease, heartbeat);
            Ok((client, session))
        }
        Some(_) => Err(LinkError::NoWelcome),
        None => Err(LinkError::Ended),
    }
}

impl Session {
    fn begin(
        incoming: Incoming<ToWorker>,
        outgoing: mpsc::Sender<FromWorker>,
        lease: Duration,
        every: Duration,
    ) -> Self {
        let every = every.clamp(HEARTBEAT_MIN, TERM_MAX);
        let mut heartbeat = interval(every);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // Each heartbeat is answered. Half a lease of silence leaves the other half to come back in.
        let silence = (lease.min(TERM_MAX) / 2).max(2 * every);
        let opened = clock::timer();
        Self { incoming, outgoing, heartbeat, silence, silent_at: opened + silence, opened }
    }
}
