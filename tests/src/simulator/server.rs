//! The HTTP server. It is its own, because a fault can close a connection without an answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

use super::browser_requests::Names;
use super::no_answer::WithoutAnswer;
use super::world::World;
use super::{control, entra, graph};

/// Serves connections until it is cancelled; `names` are what clients may call this server.
pub(crate) async fn serve(listener: TcpListener, names: Names, world: Arc<World>) {
    let router = Router::new()
        .merge(entra::routes())
        .merge(graph::routes())
        .merge(control::routes())
        .fallback(graph::unknown_path)
        .layer(middleware::from_fn_with_state(names, for_programs_only))
        .with_state(Arc::clone(&world));
    loop {
        // A connection that its peer gave up already is no reason to stop.
        if let Ok((stream, peer)) = listener.accept().await {
            world.spawn(connection(stream, peer, router.clone(), Arc::clone(&world)));
        }
    }
}

async fn for_programs_only(State(names): State<Names>, request: Request<Body>, next: Next) -> Response {
    match names.check(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refused) => (StatusCode::FORBIDDEN, refused.to_string()).into_response(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the connection closes without an answer")]
struct Closed;

async fn connection(stream: TcpStream, peer: SocketAddr, router: Router, world: Arc<World>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (router, world) = (router.clone(), Arc::clone(&world));
        async move {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(ConnectInfo(peer));
            let (answer, answered) = oneshot::channel();
            // A task of its own: as at the real Graph, what was begun is finished even if the client gives up meanwhile.
            world.spawn(async move {
                let response: Result<Response, Infallible> = router.oneshot(request).await;
                let Ok(response) = response;
                let _ = answer.send(response);
            });
            let response = answered.await.map_err(|_| Closed)?;
            if response.extensions().get::<WithoutAnswer>().is_some() { Err(Closed) } else { Ok(response) }
        }
    });
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}
