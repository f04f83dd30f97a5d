//! API Gateway and Lambda: what a request meets on its way to the function, and where a process dies.

use std::rc::Rc;

use receiver::{Receiver, http::Request};
use tokio::{
    task::spawn_local,
    time::{Duration, Instant, sleep, timeout},
};

use super::Stage;
use crate::surroundings::Connection;

/// How many of a thousand requests find no process that is warm, besides those that come while all are busy.
const COLD: u32 = 30;

/// How long a process takes until it can handle its first request.
const INIT: Duration = Duration::from_millis(300);

/// Posts a request. Gives the status, or nothing if the answer gets lost; whoever waits for it no longer does not end what
/// happens on the other side.
pub(super) async fn post(stage: &Rc<Stage>, request: Request) -> Option<u16> {
    if stage.weather().turns_away() {
        sleep(Duration::from_millis(5)).await;
        return Some(429);
    }
    let invocation = spawn_local(invoke(Rc::clone(stage), request));
    let status = invocation.await.expect("no invocation panics");
    if stage.weather().loses_answer() { None } else { Some(status) }
}

async fn invoke(stage: Rc<Stage>, request: Request) -> u16 {
    stage.tell(|tally| tally.invocations += 1);
    let cold = stage.rng.borrow_mut().u32(..1000) < COLD;
    let warm = if cold { None } else { stage.idle.borrow_mut().pop() };
    let receiver = match warm {
        Some(receiver) => receiver,
        None => start(&stage).await,
    };
    let began = Instant::now();
    let handled = receiver.handle(request, stage.now());
    let response = match stage.weather().kill() {
        Some(after) => timeout(after, handled).await.ok(),
        None => Some(handled.await),
    };
    stage.count();
    let Some(response) = response else {
        // The process is gone, and with it what it had in memory.
        stage.tell(|tally| tally.killed += 1);
        return 502;
    };
    stage.tell(|tally| {
        tally.longest = tally.longest.max(began.elapsed());
        tally.unavailable += u64::from(response.status_code == 503);
    });
    stage.idle.borrow_mut().push(receiver);
    response.status_code
}

async fn start(stage: &Stage) -> Receiver<Connection<super::Weather>> {
    stage.tell(|tally| tally.cold_starts += 1);
    let receiver = Receiver::new(stage.config.clone(), Connection(Rc::clone(&stage.surroundings)), |_| {});
    sleep(INIT).await;
    receiver.warm_up(stage.now()).await;
    receiver
}
