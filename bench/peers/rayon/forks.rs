// SPDX-License-Identifier: MIT
//! forks.rs - the fork-join rows on Rayon: join where two calls run, scope and
//! spawn where there are more, and parallel iterators in the loops. For main.c.

use rayon::prelude::*;
use rayon::{join, scope, ThreadPool, ThreadPoolBuilder};
use std::os::raw::c_int;
use std::sync::Mutex;

// -- what the headers of bench/fork have --

#[repr(C)]
pub struct Node {
    value: u64,
    left: Option<&'static Node>,
    right: Option<&'static Node>,
}

const QUEENS_MAX: usize = 14;

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Board {
    size: i8,
    rows: i8,
    columns: [i8; QUEENS_MAX],
}

#[repr(C)]
pub struct Uts {
    seed: u32,
    root: c_int,
    depth: c_int,
    many: c_int,
    probability: f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct UtsNode {
    bytes: [u8; 20],
    depth: u32,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Matrix {
    at: *mut f64,
    stride: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Product {
    c: Matrix,
    a: Matrix,
    b: Matrix,
    n: usize,
}

#[repr(C)]
struct Strassen {
    parts: [Product; 7],
    memory: *mut f64,
}

#[repr(C)]
#[derive(Clone, Copy)]
pub struct Sort {
    values: *mut i32,
    space: *mut i32,
    n: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Merge {
    a: *const i32,
    b: *const i32,
    a_n: usize,
    b_n: usize,
    out: *mut i32,
}

// What is written through them is another part for each call.
unsafe impl Send for Product {}
unsafe impl Sync for Product {}
unsafe impl Send for Sort {}
unsafe impl Sync for Sort {}
unsafe impl Send for Merge {}

const ITEMS_MAX: usize = 26;
const PRODUCT_LEAF: usize = 64;
const STRASSEN_LEAF: usize = 128;
const SORT_LEAF: usize = 2048;
const STACK: usize = 256 << 20;

#[repr(C)]
pub struct Loop {
    out: *mut u32,
    n: usize,
}
unsafe impl Sync for Loop {}

const UNEVEN_INDEXES: usize = 16;

#[repr(C)]
struct Item {
    weight: c_int,
    value: c_int,
}

#[repr(C)]
pub struct Knapsack {
    n: c_int,
    room: c_int,
    known: c_int,
    items: [Item; ITEMS_MAX],
}

extern "C" {
    fn bench_uts_root(tree: &Uts) -> UtsNode;
    fn bench_uts_children(tree: &Uts, node: &UtsNode) -> c_int;
    fn bench_uts_child(node: &UtsNode, i: c_int) -> UtsNode;
    fn bench_product_leaf(p: &Product);
    fn bench_product_part(p: &Product, quarter: c_int, k: c_int) -> Product;
    fn bench_strassen_split(s: *mut Strassen, p: &Product) -> bool;
    fn bench_strassen_join(s: *mut Strassen, p: &Product);
    fn bench_sort_leaf(s: &Sort);
    fn bench_sort_quarter(s: &Sort, i: c_int) -> Sort;
    fn bench_sort_pair(s: &Sort, i: c_int) -> Merge;
    fn bench_sort_pairs(s: &Sort) -> Merge;
    fn bench_merge_leaf(m: &Merge);
    fn bench_merge_split(m: &Merge, low: *mut Merge, high: *mut Merge);
}

// -- the recursions --

fn fib(n: c_int) -> u64 {
    if n < 2 {
        return n as u64;
    }
    let (left, right) = join(|| fib(n - 1), || fib(n - 2));
    left + right
}

fn add_up(node: Option<&Node>) -> u64 {
    match node {
        None => 0,
        Some(node) => {
            let (left, right) =
                join(|| add_up(node.left), || add_up(node.right));
            node.value + left + right
        }
    }
}

fn put(from: &Board, column: i8) -> Option<Board> {
    for row in 0..from.rows {
        let apart = from.rows - row;
        let aside = from.columns[row as usize] - column;
        if aside == 0 || aside == apart || aside == -apart {
            return None;
        }
    }
    let mut to = *from;
    to.columns[to.rows as usize] = column;
    to.rows += 1;
    Some(to)
}

fn place(board: Board) -> u64 {
    if board.rows == board.size {
        return 1;
    }
    let mut parts = [0; QUEENS_MAX];
    scope(|s| {
        for (column, part) in (0..board.size).zip(&mut parts) {
            if let Some(next) = put(&board, column) {
                s.spawn(move |_| *part = place(next));
            }
        }
    });
    parts.iter().sum()
}

fn skynet(first: u64, leaves: u64) -> u64 {
    if leaves == 1 {
        return first;
    }
    let mut parts = [0; 10];
    scope(|s| {
        for (i, part) in (0..).zip(&mut parts) {
            s.spawn(move |_| {
                *part = skynet(first + i * (leaves / 10), leaves / 10)
            });
        }
    });
    parts.iter().sum()
}

fn uts(tree: &Uts, node: UtsNode) -> u64 {
    let n = unsafe { bench_uts_children(tree, &node) };
    if n == 0 {
        return 1;
    }
    let mut parts = vec![0; n as usize];
    scope(|s| {
        for (i, part) in (0..).zip(&mut parts) {
            let child = unsafe { bench_uts_child(&node, i) };
            s.spawn(move |_| *part = uts(tree, child));
        }
    });
    1 + parts.iter().sum::<u64>()
}

fn matmul(p: Product) {
    if p.n <= PRODUCT_LEAF {
        unsafe { bench_product_leaf(&p) };
        return;
    }
    for k in 0..2 {
        scope(|s| {
            for i in 0..4 {
                let part = unsafe { bench_product_part(&p, i, k) };
                s.spawn(move |_| matmul(part));
            }
        });
    }
}

fn strassen(p: Product) {
    if p.n <= STRASSEN_LEAF {
        unsafe { bench_product_leaf(&p) };
        return;
    }
    let mut sums = std::mem::MaybeUninit::<Strassen>::uninit();
    if !unsafe { bench_strassen_split(sums.as_mut_ptr(), &p) } {
        return;
    }
    let mut sums = unsafe { sums.assume_init() };
    scope(|s| {
        for part in sums.parts {
            s.spawn(move |_| strassen(part));
        }
    });
    unsafe { bench_strassen_join(&mut sums, &p) };
}

fn merge(m: Merge) {
    if m.a_n + m.b_n <= SORT_LEAF {
        unsafe { bench_merge_leaf(&m) };
        return;
    }
    let (mut low, mut high) = (m, m);
    unsafe { bench_merge_split(&m, &mut low, &mut high) };
    join(move || merge(low), move || merge(high));
}

fn sort(all: Sort) {
    if all.n <= SORT_LEAF {
        unsafe { bench_sort_leaf(&all) };
        return;
    }
    scope(|s| {
        for i in 0..4 {
            let quarter = unsafe { bench_sort_quarter(&all, i) };
            s.spawn(move |_| sort(quarter));
        }
    });
    let low = unsafe { bench_sort_pair(&all, 0) };
    let high = unsafe { bench_sort_pair(&all, 1) };
    join(move || merge(low), move || merge(high));
    merge(unsafe { bench_sort_pairs(&all) });
}

fn most(k: &Knapsack, i: usize, room: c_int, value: c_int) -> c_int {
    if room < 0 {
        return 0;
    }
    if i == k.n as usize {
        return value;
    }
    let item = &k.items[i];
    let hope = room as f64 * item.value as f64 / item.weight as f64;
    if value as f64 + hope <= k.known as f64 {
        return 0;
    }
    let (with, without) = join(
        || most(k, i + 1, room - item.weight, value + item.value),
        || most(k, i + 1, room, value),
    );
    with.max(without)
}

fn loop_short(i: usize) -> u32 {
    ((i as u64).wrapping_mul(0x9e3779b97f4a7c15) % (i as u64 + 3)) as u32
}

fn loop_uneven(i: usize) -> u32 {
    (0..i / UNEVEN_INDEXES).fold(i as u32, |x, _| {
        (x ^ x >> 15).wrapping_mul(2246822519).wrapping_add(1)
    })
}

fn each(all: &Loop, value: impl Fn(usize) -> u32 + Sync) {
    let out = unsafe { std::slice::from_raw_parts_mut(all.out, all.n) };
    out.par_iter_mut().enumerate().for_each(|(i, out)| *out = value(i));
}

// -- for main.c --

static POOL: Mutex<Option<ThreadPool>> = Mutex::new(None);

fn on_workers<R: Send>(call: impl FnOnce() -> R + Send) -> R {
    POOL.lock().unwrap().as_ref().unwrap().install(call)
}

fn keep<R: Send>(out: &mut R, call: impl FnOnce() -> R + Send) -> c_int {
    *out = on_workers(call);
    0
}

#[no_mangle]
pub extern "C" fn rayon_open(workers: c_int) -> c_int {
    let pool = ThreadPoolBuilder::new()
        .num_threads(workers as usize)
        .stack_size(STACK)
        .build();
    *POOL.lock().unwrap() = pool.ok();
    if POOL.lock().unwrap().is_some() { 0 } else { -1 }
}

#[no_mangle]
pub extern "C" fn rayon_close() {
    *POOL.lock().unwrap() = None;
}

#[no_mangle]
pub extern "C" fn rayon_fib(n: c_int, out: &mut u64) -> c_int {
    keep(out, || fib(n))
}

#[no_mangle]
pub extern "C" fn rayon_tree(
    root: Option<&'static Node>,
    out: &mut u64,
) -> c_int {
    keep(out, || add_up(root))
}

#[no_mangle]
pub extern "C" fn rayon_nqueens(board: Board, out: &mut u64) -> c_int {
    keep(out, || place(board))
}

#[no_mangle]
pub extern "C" fn rayon_skynet(leaves: u64, out: &mut u64) -> c_int {
    keep(out, || skynet(0, leaves))
}

#[no_mangle]
pub extern "C" fn rayon_uts(tree: &Uts, out: &mut u64) -> c_int {
    keep(out, || uts(tree, unsafe { bench_uts_root(tree) }))
}

#[no_mangle]
pub extern "C" fn rayon_matmul(p: &Product) -> c_int {
    keep(&mut (), || matmul(*p))
}

#[no_mangle]
pub extern "C" fn rayon_strassen(p: &Product) -> c_int {
    keep(&mut (), || strassen(*p))
}

#[no_mangle]
pub extern "C" fn rayon_sort(s: &Sort) -> c_int {
    keep(&mut (), || sort(*s))
}

#[no_mangle]
pub extern "C" fn rayon_loop_short(all: &Loop) -> c_int {
    keep(&mut (), || each(all, loop_short))
}

#[no_mangle]
pub extern "C" fn rayon_loop_uneven(all: &Loop) -> c_int {
    keep(&mut (), || each(all, loop_uneven))
}

#[no_mangle]
pub extern "C" fn rayon_knapsack(k: &Knapsack, out: &mut c_int) -> c_int {
    keep(out, || most(k, 0, k.room, 0))
}
