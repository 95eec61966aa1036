use super::*;
use crate::proto::registration::registration_server::RegistrationServer;
use crate::registration::{REGISTERED, RegistrationService};
use crate::socket;
use alluxio_telemetry::Readiness;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_stream::wrappers::UnixListenerStream;
use tonic::service::Routes;
use tonic::transport::Server;

/// The kind of a frame that ends a stream with an error.
const RST_STREAM: u8 = 3;

/// All that a kubelet sends: GetInfo, NotifyRegistrationStatus (registered), its answers to pings, its farewell.
///
/// **Source**: recorded from the dial of Kubernetes 1.34.4 (grpc-go 1.72.1), socket
/// `/var/lib/kubelet/plugins_registry/csi.alluxio.dev-reg.sock`.
const KUBELET: &str = "
    505249202a20485454502f322e300d0a0d0a534d0d0a0d0a0000000400000000000000000401000000000000890104000000
    018386459c62ba2d98d558598c84d83498f52fb4b31909b06931ea63115392a94f41b154587b8ec545868346a8b0f5b632d0
    54aa2c35d16cc6a91158598c84d9e95161220cb8e8a2df263af217bad61665d072755f8b1d75d0620d263d4c4d65647a8a9a
    cac8b4c7602bba25c340027465864d833505b11f40899acac8b24d494f6a7f867df7df799b7f000005000100000001000000
    000000000806010000000002041010090e07070000040800000000000000002c00000806000000000002041010090e070700
    0039010400000003838645a862ba2d98d558598c84d83498f52fb4b31909b06931ea6349d2697d6d2cc6426c1a4c7ab72469
    b51fc3c2c1c07f00867df7997836ff0000070001000000030000000002080100000806010000000002041010090e07070000
    040800000000000000000500000806000000000002041010090e07070000210700000000000000000300000000636c69656e
    74207472616e73706f72742073687574646f776e";

fn kubelet() -> Vec<u8> {
    let digits: Vec<u8> = KUBELET.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// What the kubelet hears when it says all this to what listens at `socket`.
async fn answer(socket: &std::path::Path) -> Vec<u8> {
    let mut client = UnixStream::connect(socket).await.unwrap();
    client.write_all(&kubelet()).await.unwrap();
    let mut heard = Vec::new();
    client.read_to_end(&mut heard).await.unwrap();
    heard
}

/// Kinds, flags and contents of the frames in `bytes`.
fn frames(mut bytes: &[u8]) -> Vec<(u8, u8, &[u8])> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk() {
        let (payload, rest) = rest.split_at(length(head));
        frames.push((head[3], head[4], payload));
        bytes = rest;
    }
    frames
}

fn service(readiness: &Readiness) -> Routes {
    let (endpoint, readiness) = ("/plugins/csi.sock".to_owned(), readiness.clone());
    Routes::new(RegistrationServer::new(RegistrationService { endpoint, readiness }))
}

#[tokio::test]
async fn a_kubelet_registers_us() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reg.sock");
    let listener = socket::listen(&path).await.unwrap();
    let readiness = Readiness::waiting_for(&[REGISTERED]);
    tokio::spawn(socket::serve(listener, service(&readiness), std::future::pending()));
    let heard = answer(&path).await;
    let frames = frames(&heard);
    assert!(frames.iter().all(|(kind, ..)| *kind != RST_STREAM), "{frames:?}");
    let has = |text: &[u8]| heard.windows(text.len()).any(|window| window == text);
    assert!(has(b"CSIPlugin") && has(b"/plugins/csi.sock"), "{frames:?}");
    assert!(readiness.is_ready());
}

/// Why all this is needed. Once it fails, nothing of it is.
#[tokio::test]
async fn a_server_takes_no_path_for_a_host() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("reg.sock");
    let incoming = UnixListenerStream::new(UnixListener::bind(&path).unwrap());
    let readiness = Readiness::waiting_for(&[REGISTERED]);
    let server = Server::builder().add_routes(service(&readiness));
    tokio::spawn(server.serve_with_incoming(incoming));
    let heard = answer(&path).await;
    assert!(frames(&heard).iter().any(|(kind, ..)| *kind == RST_STREAM));
    assert!(!readiness.is_ready());
}

#[test]
fn of_what_the_kubelet_says_only_the_name_changes() {
    let said = kubelet();
    let mut out = Vec::new();
    Filter::new().push(&said, &mut out);
    // `:authority`, to be remembered, in Huffman's code: 49 bytes.
    let (start, end) = (24 + 9 + 9 + 9 + 32, 24 + 9 + 9 + 9 + 32 + 51);
    assert_eq!(said[start..start + 2], [0x41, 0x80 | 49]);
    let mut expected = said.clone();
    expected.splice(start..end, [0x41, 1, b'k']);
    expected[24 + 9 + 9 + 2] -= 48;
    assert_eq!(out, expected);
}

/// A number whose first byte has other things in its first bits.
fn number(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | value as u8];
    }
    let (mut out, mut rest) = (vec![first | most as u8], value - most);
    while rest >= 128 {
        out.push(rest as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
    out
}

/// A header, as any client may write it.
#[derive(Debug, Clone)]
enum Field {
    Indexed(usize),
    Size(usize),
    /// Its first byte and the bits for the name's place; that, or a new name; the value, maybe in Huffman's code.
    Literal((u8, u32), usize, Vec<u8>, (bool, Vec<u8>)),
}

impl Field {
    fn write(&self, out: &mut Vec<u8>, renamed: bool) {
        match self {
            Field::Indexed(index) => out.extend(number(0x80, 7, *index)),
            Field::Size(size) => out.extend(number(0x20, 5, *size)),
            Field::Literal((first, bits), index, name, (huffman, value)) => {
                out.extend(number(*first, *bits, *index));
                if *index == 0 {
                    out.extend(number(0, 7, name.len()));
                    out.extend(name);
                }
                if renamed && *index == 1 && !value.is_empty() {
                    return out.extend([1, b'k']);
                }
                out.extend(number(u8::from(*huffman) << 7, 7, value.len()));
                out.extend(value);
            }
        }
    }
}

fn field() -> impl Strategy<Value = Field> {
    let first = prop_oneof![Just((0x40, 6)), Just((0x10, 4)), Just((0, 4))];
    let index = prop_oneof![Just(0), Just(1), 2usize..200];
    let text = || vec(any::<u8>(), 0..300);
    prop_oneof![
        (1usize..200).prop_map(Field::Indexed),
        (0usize..5000).prop_map(Field::Size),
        (first, index, text(), (any::<bool>(), text()))
            .prop_map(|(first, index, name, value)| Field::Literal(first, index, name, value)),
    ]
}

/// A frame of any kind, and how it is passed on.
fn frame() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let extra = (any::<bool>(), any::<u8>(), any::<bool>());
    (any::<u8>(), any::<u8>(), extra, vec(field(), 0..8), vec(any::<u8>(), 0..300)).prop_map(
        |(kind, flags, (headers, padding, whole), fields, other)| {
            if !headers && kind != HEADERS {
                let plain = with_head(kind, flags, &other);
                return (plain.clone(), plain);
            }
            let flags = if whole { flags | END_HEADERS } else { flags & !END_HEADERS };
            let payload = |renamed| {
                let mut payload = Vec::new();
                if flags & PADDED != 0 {
                    payload.push(padding);
                }
                if flags & PRIORITY != 0 {
                    payload.extend([0x80; PRIORITY_BYTES]);
                }
                fields.iter().for_each(|field| field.write(&mut payload, renamed));
                if flags & PADDED != 0 {
                    payload.extend(vec![0x41; padding.into()]);
                }
                with_head(HEADERS, flags, &payload)
            };
            (payload(false), payload(whole))
        },
    )
}

fn with_head(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags, 0, 0, 0, 1]);
    frame.extend(payload);
    frame
}

/// What passes of `input`, when it comes in pieces of these sizes, and the largest buffer on the way.
fn in_pieces(input: &[u8], sizes: &[usize]) -> (Vec<u8>, usize) {
    let (mut filter, mut out, mut most) = (Filter::new(), Vec::new(), 0);
    let (mut rest, mut sizes) = (input, sizes.iter().cycle());
    while !rest.is_empty() {
        filter.push(take(&mut rest, *sizes.next().unwrap()), &mut out);
        most = most.max(filter.held.len());
    }
    (out, most)
}

proptest! {
    #[test]
    fn names_change_and_nothing_else_however_it_is_cut(
        frames in vec(frame(), 0..6),
        sizes in vec(1usize..700, 1..8),
    ) {
        let mut input = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut expected = input.clone();
        for (from, to) in frames {
            input.extend(from);
            expected.extend(to);
        }
        prop_assert_eq!(in_pieces(&input, &sizes).0, expected);
    }

    #[test]
    fn anything_passes_with_a_bounded_buffer(
        head in vec((any::<u8>(), 0u8..3, any::<u8>()), 0..4),
        noise in vec(any::<u8>(), 0..30_000),
        sizes in vec(1usize..700, 1..8),
    ) {
        // Frames of headers with nonsense in them, then nonsense.
        let mut input = vec![0; PREFACE_BYTES];
        for (high, kind, flags) in head {
            let payload = &noise[..noise.len().min(usize::from(high) << 7)];
            input.extend(with_head(kind, flags, payload));
        }
        input.extend(&noise);
        let (out, most) = in_pieces(&input, &sizes);
        prop_assert_eq!(&out, &in_pieces(&input, &[input.len()]).0);
        prop_assert!(most <= HEAD_BYTES + FRAME_BYTES_MAX);
        prop_assert!(out.len() <= input.len());
    }

    #[test]
    fn headers_never_grow_and_are_right_after_the_first_time(bytes in vec(any::<u8>(), 0..300)) {
        if let Some(once) = named(&bytes) {
            prop_assert!(once.len() <= bytes.len());
            let twice = named(&once);
            prop_assert_eq!(twice, Some(once));
        }
    }
}
