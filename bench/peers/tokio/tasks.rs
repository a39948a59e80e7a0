// SPDX-License-Identifier: MIT
//! tasks.rs - Tokio's tasks and their JoinHandles. For main.c.
//!
//! The thread that calls is outside of the runtime: it spawns, and waits by
//! block_on. Each window has one block_on, which awaits one handle after the
//! other, as join_all does.

use std::future::Future;
use std::os::raw::c_int;
use std::pin::Pin;
use std::sync::Mutex;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

struct State {
    runtime: Runtime,
    chain: Option<(oneshot::Sender<u64>, JoinHandle<u64>)>,
    pending: Vec<(oneshot::Sender<u64>, oneshot::Receiver<u64>)>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);

fn with<R>(call: impl FnOnce(&mut State) -> R) -> R {
    call(STATE.lock().unwrap().as_mut().unwrap())
}

fn keep(out: &mut u64, value: Option<u64>) -> c_int {
    value.map_or(-1, |value| {
        *out = value;
        0
    })
}

#[no_mangle]
pub extern "C" fn tokio_open(workers: c_int, _cpu: c_int) -> c_int {
    let built = Builder::new_multi_thread()
        .worker_threads(workers as usize)
        .build();
    *STATE.lock().unwrap() = built.ok().map(|runtime| State {
        runtime,
        chain: None,
        pending: Vec::new(),
    });
    if STATE.lock().unwrap().is_some() { 0 } else { -1 }
}

#[no_mangle]
pub extern "C" fn tokio_close() {
    *STATE.lock().unwrap() = None;
}

#[no_mangle]
pub extern "C" fn tokio_prepare(n: usize) -> c_int {
    with(|s| s.pending.reserve_exact(n));
    0
}

#[no_mangle]
pub extern "C" fn tokio_window(first: u64, n: usize, out: &mut u64) -> c_int {
    // Not under the lock: several threads may be here.
    let runtime = with(|s| s.runtime.handle().clone());
    let handles: Vec<JoinHandle<u64>> = (first..first + n as u64)
        .map(|number| runtime.spawn(async move { number + 1 }))
        .collect();
    let sum = runtime.block_on(async {
        let mut sum = 0;
        for handle in handles {
            sum += handle.await.ok()?;
        }
        Some(sum)
    });
    keep(out, sum)
}

#[no_mangle]
pub extern "C" fn tokio_ping() -> c_int {
    with(|s| {
        let handle = s.runtime.spawn(async { 2 });
        if s.runtime.block_on(handle).ok() == Some(2) { 0 } else { -1 }
    })
}

fn add_leaves(
    first: u64,
    leaves: u64,
) -> Pin<Box<dyn Future<Output = Option<u64>> + Send>> {
    Box::pin(async move {
        if leaves == 1 {
            return Some(first);
        }
        let part = leaves / 10;
        let children: [_; 10] = std::array::from_fn(|i| {
            tokio::spawn(add_leaves(first + i as u64 * part, part))
        });
        let mut sum = 0;
        for child in children {
            sum += child.await.ok()??;
        }
        Some(sum)
    })
}

#[no_mangle]
pub extern "C" fn tokio_tree(first: u64, leaves: u64, out: &mut u64) -> c_int {
    with(|s| {
        let root = s.runtime.spawn(add_leaves(first, leaves));
        keep(out, s.runtime.block_on(root).ok().flatten())
    })
}

#[no_mangle]
pub extern "C" fn tokio_chain_build(n: usize) -> c_int {
    with(|s| {
        let (sender, receiver) = oneshot::channel();
        let mut last =
            s.runtime.spawn(async move { receiver.await.unwrap() });
        for _ in 0..n {
            let before = last;
            last = s.runtime.spawn(async move { before.await.unwrap() + 1 });
        }
        s.chain = Some((sender, last));
    });
    0
}

#[no_mangle]
pub extern "C" fn tokio_chain_run(out: &mut u64) -> c_int {
    with(|s| {
        let (first, last) = s.chain.take().unwrap();
        let sent = first.send(0).is_ok();
        keep(out, s.runtime.block_on(last).ok().filter(|_| sent))
    })
}

/// Each sends the other a number; None: the other one has ended.
async fn play(
    mut from: mpsc::Receiver<u64>,
    to: mpsc::Sender<u64>,
    begins: bool,
    n: u64,
) -> Option<u64> {
    let mut number = 0;
    for i in 0..n {
        if i > 0 || !begins {
            number = from.recv().await?;
        }
        number += 1;
        to.send(number).await.ok()?;
    }
    if begins {
        number = from.recv().await?;
    }
    Some(number)
}

#[no_mangle]
pub extern "C" fn tokio_pingpong(n: u64, out: &mut u64) -> c_int {
    with(|s| {
        let (there, at_other) = mpsc::channel(1);
        let (back, at_first) = mpsc::channel(1);
        let first = s.runtime.spawn(play(at_first, there, true, n));
        s.runtime.spawn(play(at_other, back, false, n));
        keep(out, s.runtime.block_on(first).ok().flatten())
    })
}

#[no_mangle]
pub extern "C" fn tokio_pending_new(n: usize) -> c_int {
    with(|s| s.pending.extend((0..n).map(|_| oneshot::channel())));
    0
}

#[no_mangle]
pub extern "C" fn tokio_pending_free() {
    with(|s| s.pending.clear());
}
