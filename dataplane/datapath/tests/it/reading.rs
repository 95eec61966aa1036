//! Reads over real sockets against a scripted worker.

use crate::support::{Script, client, pattern, read_request, serve, serve_with};
use alluxio_datapath::client::{Reading, RemoteStream};
use alluxio_datapath::server::ServerOptions;
use alluxio_datapath::{Error, Refusal};
use alluxio_types::{BlockId, Code, Coded};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::Duration;

const BLOCK: BlockId = BlockId(42);

fn stream(reading: Reading) -> RemoteStream {
    match reading {
        Reading::Stream(stream) => *stream,
        Reading::Local(local) => panic!("a stream was expected: {local:?}"),
    }
}

async fn all(mut stream: RemoteStream, step: usize) -> Result<Vec<u8>, Error> {
    let (mut bytes, mut buffer) = (Vec::new(), vec![0; step]);
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(bytes),
            count => bytes.extend_from_slice(&buffer[..count]),
        }
    }
}

#[tokio::test]
async fn a_local_block_is_read_in_place_and_its_lease_ends_with_the_last_slice() {
    let served = serve().await;
    let bytes = pattern(300_000);
    served.worker.put(BLOCK, &bytes);
    let client = client();
    let request = read_request(BLOCK, 300_000, 0..300_000);
    let Reading::Local(local) = client.read(&served.unix, request).await.unwrap() else {
        panic!("no descriptor was lent")
    };
    let counters = served.server.counters();
    assert_eq!(counters.leases.load(Ordering::Relaxed), 1);
    assert_eq!(counters.bytes_sent.load(Ordering::Relaxed), 0);

    let mut buffer = vec![0; 100_000];
    assert_eq!(local.read_at(&mut buffer, 250_000).await.unwrap(), 50_000);
    assert_eq!(buffer[..50_000], bytes[250_000..]);
    assert_eq!(local.try_read_at(&mut buffer, 300_000).unwrap(), Some(0));
    let slice = local.bytes_at(10, 5000).unwrap();
    assert_eq!(slice, bytes[10..5010]);

    // Eviction is an unlink: what is mapped stays readable.
    std::fs::remove_file(served.worker.path(BLOCK)).unwrap();
    drop(local);
    assert_eq!(slice, bytes[10..5010]);
    assert_eq!(counters.leases.load(Ordering::Relaxed), 1);
    drop(slice);
    // The release has no answer; the next request on the same connection comes behind it.
    client.worker_at(&served.unix).await.unwrap();
    served.worker.script(Script::Refuse(Refusal::new(Code::NotFound, "gone")));
    client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap_err();
    assert_eq!(counters.leases.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn ranges_come_back_exact_over_both_sockets_whatever_the_buffer() {
    for in_memory in [true, false] {
        let served = serve_with(in_memory, ServerOptions::default()).await;
        let length = 2_500_000;
        let bytes = pattern(length);
        served.worker.put(BLOCK, &bytes);
        let client = client();
        let ranges = [0..length, 1..2, 65_535..65_537, 65_536..131_072, 70_000..2_400_001];
        for range in ranges {
            for (target, want_fd) in [(&served.tcp, true), (&served.unix, false)] {
                for step in [70_001, 1 << 20, 999] {
                    let mut request =
                        read_request(BLOCK, length as u64, range.start as u64..range.end as u64);
                    request.want_fd = want_fd;
                    let read = stream(client.read(target, request).await.unwrap());
                    assert_eq!(all(read, step).await.unwrap(), bytes[range.clone()]);
                }
            }
        }
    }
}

#[tokio::test]
async fn frames_can_be_taken_as_they_come() {
    let served = serve().await;
    let bytes = pattern(3_000_000);
    served.worker.put(BLOCK, &bytes);
    let request = read_request(BLOCK, 3_000_000, 5..2_999_999);
    let mut read = stream(client().read(&served.tcp, request).await.unwrap());
    let mut head = [0; 3];
    assert_eq!(read.read(&mut head).await.unwrap(), 3);
    let mut got = head.to_vec();
    while let Some(frame) = read.next().await.unwrap() {
        got.extend_from_slice(&frame);
        assert_eq!(read.position(), 5 + got.len() as u64);
    }
    assert_eq!(got, bytes[5..2_999_999]);
}

#[tokio::test]
async fn a_rotten_byte_is_never_handed_out() {
    let served = serve().await;
    let mut bytes = pattern(200_000);
    served.worker.put(BLOCK, &bytes);
    bytes[150_000] ^= 1;
    std::fs::write(served.worker.path(BLOCK), &bytes).unwrap();
    let client = client();

    // Whole chunks: the receiver finds it, with the stored checksum.
    let request = read_request(BLOCK, 200_000, 0..200_000);
    let mut read = stream(client.read(&served.tcp, request).await.unwrap());
    let mut buffer = vec![0; 131_072];
    assert_eq!(read.read(&mut buffer).await.unwrap(), 131_072);
    let error = read.read(&mut buffer).await.unwrap_err();
    assert!(matches!(error, Error::Checksum { block: BLOCK, offset: 131_072 }), "{error}");
    assert_eq!(error.code(), Code::DataLoss);
    assert_eq!(read.position(), 131_072);

    // Part of the chunk, even one without the bad byte: the sender finds it.
    let request = read_request(BLOCK, 200_000, 131_080..131_090);
    let error = client.read(&served.tcp, request).await.unwrap_err();
    assert_eq!(error.code(), Code::DataLoss);
    assert_eq!(served.worker.state.lock().unwrap().corrupt, [(BLOCK, 131_072)]);

    client.report_corrupt(&served.tcp, BLOCK, 131_072).await.unwrap();
    served.server.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn an_error_in_the_middle_keeps_what_came_before_and_the_connection() {
    let served = serve().await;
    let bytes = pattern(100_000);
    let pieces = [
        Ok(Bytes::copy_from_slice(&bytes[10..40_000])),
        Err(Refusal::new(Code::Stale, "the file has changed")),
    ];
    served.worker.script(Script::Pieces(VecDeque::from(pieces)));
    let client = client();
    let request = read_request(BLOCK, 100_000, 10..100_000);
    let mut read = stream(client.read(&served.tcp, request).await.unwrap());
    let mut buffer = vec![0; 100_000];
    assert_eq!(read.read(&mut buffer).await.unwrap(), 39_990);
    assert_eq!(buffer[..39_990], bytes[10..40_000]);
    assert_eq!(read.position(), 40_000);

    served.worker.put(BLOCK, &bytes);
    let request = read_request(BLOCK, 100_000, 40_000..100_000);
    let rest = stream(client.read(&served.tcp, request).await.unwrap());
    assert_eq!(all(rest, 4096).await.unwrap(), bytes[40_000..]);
    assert_eq!(served.server.counters().connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_source_that_ends_early_or_late_is_an_error() {
    let served = serve().await;
    let client = client();
    for count in [50, 150] {
        let pieces = [Ok(Bytes::from(pattern(count)))];
        served.worker.script(Script::Pieces(VecDeque::from(pieces)));
        let outcome = client.read(&served.tcp, read_request(BLOCK, 100, 0..100)).await;
        let error = match outcome {
            Ok(reading) => {
                let mut read = stream(reading);
                let mut buffer = vec![0; 100];
                assert_eq!(read.read(&mut buffer[..50]).await.unwrap(), 50);
                // The position is short of the range, so this is no clean end.
                read.read(&mut buffer).await.unwrap_err()
            }
            Err(error) => error,
        };
        assert_eq!(error.code(), Code::DataLoss, "{error}");
    }
}

#[tokio::test]
async fn refusals_arrive_with_code_and_words() {
    let served = serve().await;
    served.worker.script(Script::Refuse(Refusal::new(Code::Busy, "too much to do")));
    let error = client().read(&served.unix, read_request(BLOCK, 9, 0..9)).await.unwrap_err();
    assert_eq!((error.code(), error.to_string()), (Code::Busy, "too much to do".into()));
}

#[tokio::test]
async fn a_read_of_nothing_only_asks_for_caching() {
    let served = serve().await;
    client().cache(&served.tcp, read_request(BLOCK, 9, 0..9)).await.unwrap();
    let state = served.worker.state.lock().unwrap();
    assert!(state.asked[0].range.is_empty());
}

#[tokio::test]
async fn leaving_a_stream_early_keeps_the_connection() {
    let served = serve().await;
    served.worker.put(BLOCK, &pattern(3_000_000));
    let client = client();
    for _ in 0..20 {
        let request = read_request(BLOCK, 3_000_000, 0..3_000_000);
        let mut read = stream(client.read(&served.tcp, request).await.unwrap());
        let mut buffer = vec![0; 1000];
        read.read(&mut buffer).await.unwrap();
        read.finish().await.unwrap();
    }
    assert_eq!(served.server.counters().connections.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn closing_ends_the_request_on_the_worker() {
    let served = serve().await;
    served.worker.script(Script::Hang);
    let client = client();
    let request = read_request(BLOCK, 10, 0..10);
    let asking = client.read(&served.tcp, request);
    // The request is dropped once the worker has begun to answer it.
    let begun = async {
        while served.worker.state.lock().unwrap().asked.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = asking => panic!("a hanging worker answered"),
        () = begun => {}
    }
    served.worker.dropped.notified().await;
}

#[tokio::test]
async fn beyond_the_lease_limit_blocks_are_streamed() {
    let options = ServerOptions { leases_per_connection_max: 1, ..ServerOptions::default() };
    let served = serve_with(true, options).await;
    served.worker.put(BLOCK, &pattern(10));
    let client = client();
    let first = client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap();
    assert!(matches!(first, Reading::Local(_)));
    let second = client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap();
    assert_eq!(all(stream(second), 10).await.unwrap(), pattern(10));
}

#[tokio::test]
async fn a_worker_that_restarted_is_asked_on_a_new_connection() {
    let served = serve().await;
    served.worker.put(BLOCK, &pattern(10));
    let client = client();
    client.worker_at(&served.unix).await.unwrap();
    served.server.stop(Duration::from_secs(5)).await;
    let error = client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error}");

    let alluxio_datapath::client::Target::Unix(path) = &served.unix else { unreachable!() };
    let unix = alluxio_datapath::server::bind_unix(path).unwrap();
    let service = std::sync::Arc::new(crate::support::Service(served.worker.clone()));
    let identity = alluxio_datapath::server::ServerIdentity {
        cluster: Default::default(),
        worker: alluxio_types::WorkerId(8),
    };
    let listeners = alluxio_datapath::server::Listeners { tcp: None, unix: Some(unix) };
    let _server = alluxio_datapath::server::DataServer::start(
        service,
        identity,
        listeners,
        ServerOptions::default(),
    );
    client.read(&served.unix, read_request(BLOCK, 10, 0..10)).await.unwrap();
}
