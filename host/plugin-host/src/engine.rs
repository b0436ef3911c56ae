//! The engine: one configuration for compiling ahead of time and for running.
//!
//! Code that was compiled with another configuration does not load, so there is one function that makes it. Time is
//! kept by epochs: an OS thread ticks, a guest that runs past a tick gives its worker back to the runtime, and the call's
//! deadline ends it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::{code_pages, limits};

/// An engine with its clock.
#[derive(Clone)]
pub struct PluginEngine {
    engine: Engine,
    _ticker: Arc<Ticker>,
}

/// The engine could not be made.
#[derive(Debug, thiserror::Error)]
#[error("the WebAssembly engine does not start: {0}")]
pub struct EngineError(String);

impl PluginEngine {
    /// An engine that runs plugins.
    pub fn new() -> Result<Self, EngineError> {
        // Address space is all that a pool's slots cost before their first use. Where it is rationed (`ulimit -v`, some
        // sandboxes), every instance is mapped when it is made instead: slower to start, the same afterwards.
        let pooled = config(true).and_then(|config| Engine::new(&config));
        let engine = match pooled {
            Ok(engine) => engine,
            Err(error) => {
                tracing::warn!("no address space for a pool of instances, so that new ones are slower: {error:#}");
                config(false).and_then(|config| Engine::new(&config)).map_err(|error| EngineError(format!("{error:#}")))?
            }
        };
        let ticker = Arc::new(Ticker::start(engine.clone()).map_err(|error| EngineError(format!("the ticker thread: {error}")))?);
        Ok(Self { engine, _ticker: ticker })
    }

    /// Wasmtime's own.
    pub(crate) fn inner(&self) -> &Engine {
        &self.engine
    }

    /// Compiles a component for an engine of this configuration.
    pub fn precompile(&self, component: &[u8]) -> Result<Vec<u8>, EngineError> {
        self.engine.precompile_component(component).map_err(|error| EngineError(format!("{error:#}")))
    }
}

fn config(pooled: bool) -> wasmtime::Result<Config> {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.epoch_interruption(true);
    // Costs 0.4 to 1 µs a call, and is for components that export async functions: none of our interfaces has one.
    config.concurrency_support(false);
    config.max_wasm_stack(512 << 10);
    config.async_stack_size(1 << 20);
    // Symbolised backtraces double the size of the compiled code.
    config.generate_address_map(false);
    config.native_unwind_info(false);
    config.memory_reservation(4 << 30);
    config.memory_guard_size(32 << 20);
    code_pages::enable(&mut config);
    if pooled {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    }
    Ok(config)
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    let parts = limits::INSTANCES_TOTAL_MAX * 4;
    pool.total_component_instances(limits::INSTANCES_TOTAL_MAX)
        .total_core_instances(parts * 4)
        .total_memories(limits::INSTANCES_TOTAL_MAX)
        .total_tables(parts)
        .total_stacks(limits::INSTANCES_TOTAL_MAX)
        .max_memory_size(limits::MEMORY_BYTES_MAX)
        .table_elements(limits::TABLE_ELEMENTS_MAX)
        .max_core_instances_per_component(limits::PARTS_PER_INSTANCE_MAX)
        .max_memories_per_component(4)
        .max_tables_per_component(limits::PARTS_PER_INSTANCE_MAX)
        .max_component_instance_size(4 << 20)
        .max_core_instance_size(4 << 20)
        // A slot that was used keeps this much mapped for its next use: a system call less for a fresh instance.
        .linear_memory_keep_resident(64 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(32 << 10)
        .max_unused_warm_slots(16);
    pool
}

/// Ticks an engine's epoch until it is dropped. A thread and not a task: a guest that loops holds a worker of the
/// runtime until the tick comes.
struct Ticker {
    stop: Arc<AtomicBool>,
}

impl Ticker {
    fn start(engine: Engine) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        thread::Builder::new().name("plugin-ticker".into()).stack_size(64 << 10).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                thread::sleep(limits::EPOCH_TICK);
                engine.increment_epoch();
            }
        })?;
        Ok(Self { stop })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
