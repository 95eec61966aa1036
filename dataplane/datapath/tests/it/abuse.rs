//! Peers that break the rules, are slow, or are too many.

use crate::support::{client, pattern, read_request, serve, serve_with};
use alluxio_datapath::client::{ClientOptions, DataClient, Reading, Target};
use alluxio_datapath::codec::encode;
use alluxio_datapath::frame::Frame;
use alluxio_datapath::message::Hello;
use alluxio_datapath::server::{ServerOptions, bind_unix};
use alluxio_datapath::{ClusterName, Error, ProtocolError};
use alluxio_types::{BlockId, Code, Coded, WorkerId};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BLOCK: BlockId = BlockId(42);

fn address(target: &Target) -> String {
    target.to_string()
}

fn hello() -> Vec<u8> {
    let mut bytes = Vec::new();
    let hello = Hello { version: 9, cluster_id: String::new(), user: String::new() };
    encode(1, &Frame::Hello(hello), &mut bytes).unwrap();
    bytes
}

/// Sends bytes and returns how many came back before the server closed.
async fn send_until_closed(target: &Target, bytes: &[u8]) -> usize {
    let mut stream = TcpStream::connect(address(target)).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut back = Vec::new();
    // A reset is a close too.
    let _ = stream.read_to_end(&mut back).await;
    back.len()
}

#[tokio::test]
async fn who_does_not_speak_the_protocol_is_cut_off() {
    let served = serve().await;
    let mut wrong_magic = hello();
    wrong_magic[20] ^= 1;
    let mut not_hello = Vec::new();
    encode(1, &Frame::Done, &mut not_hello).unwrap();
    for bytes in [&b"GET / HTTP/1.1\r\nHost: worker\r\n\r\n"[..], &wrong_magic, &not_hello] {
        assert_eq!(send_until_closed(&served.tcp, bytes).await, 0);
    }
    let mut after_hello = hello();
    encode(2, &Frame::Done, &mut after_hello).unwrap();
    assert!(send_until_closed(&served.tcp, &after_hello).await > 0, "Welcome comes first");
    assert_eq!(served.server.counters().connections_broken.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn clients_of_another_cluster_are_refused() {
    let served = serve().await;
    let options = ClientOptions { cluster: "c2".into(), ..ClientOptions::default() };
    let error = DataClient::new(options).worker_at(&served.tcp).await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.to_string().contains("c1"), "{error}");
}

#[tokio::test]
async fn a_client_is_refused_as_soon_as_both_know_their_clusters() {
    let served = serve().await;
    let cluster = ClusterName::default();
    let options = ClientOptions { cluster: cluster.clone(), ..ClientOptions::default() };
    DataClient::new(options.clone()).worker_at(&served.tcp).await.unwrap();
    cluster.learn("c2");
    cluster.learn("c1");
    assert_eq!(cluster.get(), "c2", "the first name stays");
    DataClient::new(options).worker_at(&served.tcp).await.unwrap_err();
}

#[tokio::test]
async fn an_address_that_changed_hands_is_noticed() {
    let served = serve().await;
    served.worker.put(BLOCK, &pattern(10));
    let client = client();
    let request = || read_request(BLOCK, 10, 0..10);
    client.read_of(Some(WorkerId(7)), &served.unix, request()).await.unwrap();
    let error = client.read_of(Some(WorkerId(8)), &served.unix, request()).await.unwrap_err();
    assert!(matches!(error, Error::WrongWorker { found: WorkerId(7), .. }), "{error}");
    let error = client.session_of(Some(WorkerId(8)), &served.tcp).await.unwrap_err();
    assert!(error.is_worker_fault(), "{error}");
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let served =
        serve_with(true, ServerOptions { connections_max: 1, ..ServerOptions::default() }).await;
    let (first, second) = (client(), client());
    first.worker_at(&served.unix).await.unwrap();
    let error = second.worker_at(&served.unix).await.unwrap_err();
    assert_eq!(error.code(), Code::Busy, "{error}");
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off() {
    let stall = Duration::from_millis(50);
    let served = serve_with(true, ServerOptions { stall, ..ServerOptions::default() }).await;
    let length = 64 << 20;
    served.worker.put(BLOCK, &pattern(length));
    let request = read_request(BLOCK, length as u64, 0..length as u64);
    let reading = client().read(&served.tcp, request).await.unwrap();
    let Reading::Stream(mut stream) = reading else { panic!("{reading:?}") };
    let counters = served.server.counters();
    while counters.connections.load(Ordering::Relaxed) > 0 {
        tokio::task::yield_now().await;
    }
    let mut buffer = vec![0; 1 << 20];
    let error = loop {
        match stream.read(&mut buffer).await {
            Ok(count) => assert!(count > 0, "the stream cannot end well"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Closed { .. } | Error::Broken { .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_says_nothing_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target =
        Target::Tcp { host: "127.0.0.1".into(), port: listener.local_addr().unwrap().port() };
    let options = ClientOptions { connect: Duration::from_millis(50), ..ClientOptions::default() };
    let error = DataClient::new(options).worker_at(&target).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. } | Error::Stalled { .. }), "{error}");
    assert!(error.is_worker_fault());
}

#[tokio::test]
async fn a_server_that_answers_nonsense_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(&[0xEE; 64]).await.unwrap();
        stream
    });
    let target = Target::Tcp { host: "127.0.0.1".into(), port };
    let error = client().worker_at(&target).await.unwrap_err();
    assert!(matches!(error, Error::Protocol(ProtocolError::UnknownKind(0xEE))), "{error}");
    drop(server.await.unwrap());
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_their_leases() {
    let served = serve().await;
    served.worker.put(BLOCK, &pattern(10));
    let client = client();
    let local = client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap();
    let counters = served.server.counters();
    served.server.stop(Duration::from_secs(5)).await;
    assert_eq!(counters.leases.load(Ordering::Relaxed), 0);
    assert_eq!(counters.connections.load(Ordering::Relaxed), 0);
    // The reader that is at it does not notice.
    let Reading::Local(local) = local else { panic!("{local:?}") };
    assert_eq!(local.bytes_at(0, 10).unwrap(), pattern(10));
}

#[tokio::test]
async fn a_socket_left_behind_is_replaced_and_one_in_use_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("socket");
    drop(bind_unix(&path).unwrap());
    let _listener = bind_unix(&path).unwrap();
    let error = bind_unix(&path).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}
