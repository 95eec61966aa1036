//! Both ends, over sockets.

use super::client::{Lines, Transport};
use crate::primary::{HostPort, channel};
use crate::{RpcServer, ServerMetrics, serve};
use alluxio_host::Host;
use alluxio_host::waiting::may_wait;
use http_body_util::{BodyExt, Full};
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codegen::Bytes;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::server::NamedService;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower::{Service, ServiceExt};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(30);

/// Answers with what it is sent, refuses, or never answers and says when it is dropped.
#[derive(Clone)]
struct Echo {
    dropped: mpsc::UnboundedSender<()>,
}

impl NamedService for Echo {
    const NAME: &'static str = "t.Echo";
}

struct TellsOfItsEnd(mpsc::UnboundedSender<()>);

impl Drop for TellsOfItsEnd {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let dropped = self.dropped.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match parts.uri.path() {
                "/t.Echo/Say" => {
                    let body = body.collect().await.unwrap().to_bytes();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", HeaderValue::from_static("0"));
                    let body =
                        Full::new(body).with_trailers(std::future::ready(Some(Ok(trailers))));
                    let mut response = Response::new(Body::new(body));
                    if let Some(who) = parts.headers.get("who") {
                        response.headers_mut().insert("heard", who.clone());
                    }
                    Ok(response)
                }
                "/t.Echo/Hang" => {
                    let _tells = TellsOfItsEnd(dropped);
                    std::future::pending().await
                }
                _ => Ok(Status::failed_precondition("not so").into_http()),
            }
        })
    }
}

struct Ends {
    server: RpcServer,
    transport: Transport,
    lines: Arc<Lines>,
    dropped: mpsc::UnboundedReceiver<()>,
}

impl Ends {
    async fn start() -> Ends {
        let host = Host::real();
        let listener = host.net.listen("127.0.0.1", 0).await.unwrap();
        let port = listener.address().port();
        let (sender, dropped) = mpsc::unbounded_channel();
        let metrics = ServerMetrics::register("test", &prometheus::Registry::new()).unwrap();
        let server = serve(listener, Routes::new(Echo { dropped: sender }), metrics);
        let address = HostPort { host: "127.0.0.1".into(), port };
        let lines = Lines::new(address.clone());
        let http = channel(&host.net, &address).unwrap();
        let transport = Transport::with_lines(http, Some(lines.clone()));
        let ends = Ends { server, transport, lines, dropped };
        // The first call finds none.
        ends.say("before there is a line").await;
        tokio::time::timeout(LONG, async {
            while ends.lines.idle() == 0 {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        ends
    }

    fn call(&self, method: &str, body: &str) -> impl Future<Output = Response<Body>> + use<> {
        let body = Body::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
        let mut request = Request::post(format!("http://it/t.Echo/{method}")).body(body).unwrap();
        request.headers_mut().insert("who", HeaderValue::from_static("ann"));
        let transport = self.transport.clone();
        async move { transport.oneshot(request).await.unwrap() }
    }

    async fn say(&self, text: &str) {
        let (parts, body) = self.call("Say", text).await.into_parts();
        let whole = body.collect().await.unwrap();
        let trailers = whole.trailers().cloned().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        let heard = parts.headers.get("heard").or(trailers.get("heard"));
        assert_eq!(heard.unwrap(), "ann");
        assert_eq!(whole.to_bytes(), text.as_bytes());
    }
}

#[tokio::test]
async fn calls_and_refusals_go_over_a_line_as_over_http() {
    let ends = Ends::start().await;
    for text in ["", "a word", &"long ".repeat(100_000)] {
        if !text.is_empty() {
            ends.say(text).await;
        }
        let refused = ends.call("Refuse", text).await;
        let status = Status::from_header_map(refused.headers()).unwrap();
        assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "not so"));
    }
    assert_eq!((ends.lines.count(), ends.lines.idle()), (1, 1), "all went over the one line");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_wait_has_his_answer_in_one_poll_and_who_may_not_is_woken() {
    let ends = Ends::start().await;
    let mut context = Context::from_waker(Waker::noop());
    let mut call = std::pin::pin!(ends.call("Say", "now"));
    let (polled, enough) = may_wait(LONG, || call.as_mut().poll(&mut context));
    assert!(polled.is_ready() && enough);
    // Nobody answers: the patience ends, the call goes on.
    let mut hung = Box::pin(ends.call("Hang", "never"));
    let (polled, enough) = may_wait(Duration::from_millis(1), || hung.as_mut().poll(&mut context));
    assert!(polled.is_pending() && !enough);
    let slow = ends.call("Say", "over HTTP/2, for the line is taken");
    assert_eq!(slow.await.status(), 200);
}

#[tokio::test]
async fn a_call_that_is_given_up_ends_at_the_server_and_takes_its_line_along() {
    let mut ends = Ends::start().await;
    let call = tokio::spawn(ends.call("Hang", "never"));
    while ends.lines.idle() > 0 {
        tokio::task::yield_now().await;
    }
    call.abort();
    tokio::time::timeout(LONG, ends.dropped.recv()).await.unwrap().unwrap();
    assert!(call.await.unwrap_err().is_cancelled());
    assert_eq!(ends.lines.idle(), 0);
    ends.say("the next one").await;
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_lines_on_which_nothing_is_called() {
    let Ends { server, lines, .. } = Ends::start().await;
    tokio::time::timeout(LONG, server.stop(std::future::pending())).await.unwrap();
    assert!(!lines.is_available(), "it is closed");
}

#[tokio::test]
async fn a_call_that_is_not_answered_in_time_breaks_off_when_its_server_stops() {
    let ends = Ends::start().await;
    let hung = tokio::spawn(ends.call("Hang", "never"));
    while ends.lines.idle() > 0 {
        tokio::task::yield_now().await;
    }
    ends.server.stop(async {}).await;
    let lost = tokio::time::timeout(LONG, hung).await.unwrap();
    assert!(lost.is_err(), "{lost:?}");
}

#[tokio::test]
async fn a_server_that_knows_no_lines_is_called_over_http() {
    let old = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = HostPort { host: "127.0.0.1".into(), port: old.local_addr().unwrap().port() };
    let lines = Lines::new(address);
    assert!(!lines.is_available());
    let (connection, _) = old.accept().await.unwrap();
    drop(connection);
    tokio::time::timeout(LONG, async {
        while lines.count() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
    assert!(!lines.is_available());
    assert_eq!(lines.count(), 0, "it is not asked again at once");
}
