//! The one wasmtime engine of the process, and the thread that makes its clock tick.
//!
//! Compiled with epoch checks, so that a running guest can be stopped or made to yield at any loop or call; with
//! instances from a pool of address space where the machine allows that, made on demand where it does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig};

use super::spinning;
use crate::config::MAX_INSTANCES;

/// Bytes of a component file. What toolchains that embed an interpreter make today is about 12 MiB.
pub const MAX_COMPONENT_BYTES: usize = 16 * 1024 * 1024;
/// How often the epoch advances. A guest that is still running then yields to the other tasks of its worker, and its
/// CPU time is counted in these.
pub(super) const TICK: Duration = Duration::from_micros(500);
/// How often it advances while any guest is at work for longer than a tick: a slice that other requests wait for is no longer
/// than this. Always so short would cost an idle gateway the wake-ups.
pub(super) const SHORT_TICK: Duration = Duration::from_micros(200);
/// Stack of one guest call.
const GUEST_STACK_BYTES: usize = 512 * 1024;
/// Stack of the fiber that a call runs on: the guest's part and room for host functions.
const FIBER_STACK_BYTES: usize = GUEST_STACK_BYTES + 512 * 1024;
/// Instances, memories and stacks that the pool of address space has room for, all plugins together. Of core instances
/// and tables there are as many as instances of the largest components can have: the first are only counted, a slot for a
/// table costs 73 bytes and 0.8 MB of addresses. One for a memory takes 4 GiB of addresses, so a component with several gets
/// fewer instances, see [`instances_of`].
const POOL_SLOTS: u32 = 4 * MAX_INSTANCES;
/// Linear memory beyond which no plugin's `memory` limit may go.
const MAX_MEMORY_BYTES: usize = 1 << 30;
/// Table elements of one instance: function pointers and such.
pub(super) const MAX_TABLE_ELEMENTS: usize = 100_000;
/// Core modules, their memories and their tables in one component. Toolchains with an interpreter need about twenty of the
/// first, one of the second and two of the third. What `reexport` adds counts as well; where there is no room for it, it adds nothing.
pub(super) const MAX_CORE_INSTANCES: usize = 64;
pub(super) const MAX_MEMORIES: usize = 4;
pub(super) const MAX_TABLES: usize = 16;
/// Slots that no instance is in and that keep some of their memory, for the next instance of the same component. Each
/// reload that changes a plugin leaves some behind.
const MAX_WARM_SLOTS: u32 = 16;
/// Bytes of a slot that stay resident between two instances, instead of being given back to the kernel.
const KEEP_RESIDENT_BYTES: usize = 128 * 1024;

/// Instances that one plugin may have of a component with so many memories, so that it takes no more than a quarter of those
/// that all plugins share.
pub(super) fn instances_of(memories: u32) -> usize {
    (MAX_INSTANCES / memories.max(1)) as usize
}

/// Make the engine, with pooled address space if that can be had.
pub(super) fn new_engine() -> wasmtime::Result<Engine> {
    match Engine::new(&config(InstanceAllocationStrategy::Pooling(pool()))) {
        Ok(engine) => Ok(engine),
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "no address space for an instance pool; fresh plugin instances will cost more"
            );
            Engine::new(&config(InstanceAllocationStrategy::OnDemand))
        }
    }
}

fn config(strategy: InstanceAllocationStrategy) -> Config {
    let mut config = Config::new();
    config
        .allocation_strategy(strategy)
        .concurrency_support(false)
        .wasm_component_model(true)
        .epoch_interruption(true)
        .max_wasm_stack(GUEST_STACK_BYTES)
        .async_stack_size(FIBER_STACK_BYTES)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(8));
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(POOL_SLOTS)
        .total_core_instances(POOL_SLOTS * MAX_CORE_INSTANCES as u32)
        .total_memories(POOL_SLOTS)
        .total_tables(POOL_SLOTS * MAX_TABLES as u32)
        .total_stacks(POOL_SLOTS)
        .max_core_instances_per_component(MAX_CORE_INSTANCES as u32)
        .max_memories_per_component(MAX_MEMORIES as u32)
        .max_tables_per_component(MAX_TABLES as u32)
        .max_memory_size(MAX_MEMORY_BYTES)
        .table_elements(MAX_TABLE_ELEMENTS)
        .max_component_instance_size(1 << 20)
        .max_core_instance_size(1 << 20)
        .max_unused_warm_slots(MAX_WARM_SLOTS)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES);
    pool
}

/// The thread that advances the epoch: a plain one, so that no busy worker can hold it up. It ends with this value.
#[derive(Debug)]
pub(super) struct Ticker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ticker {
    pub(super) fn start(engine: &Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let engine = engine.weak();
        let thread = std::thread::Builder::new()
            .name("epoch".into())
            .spawn(move || {
                while !stopped.load(Ordering::Relaxed) {
                    std::thread::sleep(spinning::tick());
                    let Some(engine) = engine.upgrade() else {
                        return;
                    };
                    engine.increment_epoch();
                }
            })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It can only have ended early by a panic, which was reported where it happened.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use wasmtime::Store;
    use wasmtime::component::{Component, Linker};

    use super::*;

    #[test]
    fn no_component_however_large_takes_the_room_of_others_with_so_many_instances_as_a_plugin_may_have()
     {
        let engine = new_engine().unwrap();
        let linker = Linker::new(&engine);
        let make = |component: &str| {
            let component = Component::new(&engine, wat::parse_str(component).unwrap()).unwrap();
            let pre = linker.instantiate_pre(&component).unwrap();
            let engine = &engine;
            move || {
                let mut store = Store::new(engine, ());
                pre.instantiate(&mut store).map(|_| store)
            }
        };
        let tables = "(core instance (instantiate $t))".repeat(MAX_TABLES);
        let empty = "(core instance (instantiate $e))".repeat(MAX_CORE_INSTANCES - MAX_TABLES);
        let large = make(&format!(
            "(component (core module $t (table 1 funcref)) (core module $e) {tables}{empty})"
        ));
        let small = make(
            "(component (core module $t (table 1 funcref) (memory 1)) (core instance (instantiate $t)))",
        );
        let burst: Vec<_> = (0..MAX_INSTANCES).map(|_| large().unwrap()).collect();
        small().unwrap();
        drop(burst);
        let memories = "(core instance (instantiate $m))".repeat(MAX_MEMORIES);
        let several = make(&format!(
            "(component (core module $m (memory 1)) {memories})"
        ));
        let burst: Vec<_> = (0..instances_of(MAX_MEMORIES as u32))
            .map(|_| several().unwrap())
            .collect();
        small().unwrap();
        drop(burst);
    }
}
