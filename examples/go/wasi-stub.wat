;; What Go's runtime asks of WASI, answered without a system: no arguments, no environment, no files, output dropped, a clock that moves a
;; millisecond each time that it is read, and random bytes that are always the same.
(module
  (import "env" "memory" (memory 0))
  (global $milliseconds (mut i64) (i64.const 0))
  (global $random (mut i64) (i64.const 0x9E3779B97F4A7C15))

  (func $nothing (param $count i32) (param $bytes i32) (result i32)
    (i32.store (local.get $count) (i32.const 0))
    (i32.store (local.get $bytes) (i32.const 0))
    (i32.const 0))
  (export "args_sizes_get" (func $nothing))
  (export "environ_sizes_get" (func $nothing))
  (func $empty (param i32 i32) (result i32) (i32.const 0))
  (export "args_get" (func $empty))
  (export "environ_get" (func $empty))

  (func (export "clock_time_get") (param $clock i32) (param $precision i64) (param $time i32) (result i32)
    (global.set $milliseconds (i64.add (global.get $milliseconds) (i64.const 1)))
    (i64.store (local.get $time) (i64.mul (global.get $milliseconds) (i64.const 1000000)))
    (i32.const 0))
  (func (export "adapter_monotonic_clock_set_paused") (param i32))
  (func (export "sched_yield") (result i32) (i32.const 0))
  ;; 52: not supported.
  (func (export "poll_oneoff") (param i32 i32 i32 i32) (result i32) (i32.const 52))

  ;; xorshift64
  (func (export "random_get") (param $at i32) (param $length i32) (result i32)
    (local $end i32)
    (local.set $end (i32.add (local.get $at) (local.get $length)))
    (block $done
      (loop $next
        (br_if $done (i32.ge_u (local.get $at) (local.get $end)))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 13))))
        (global.set $random (i64.xor (global.get $random) (i64.shr_u (global.get $random) (i64.const 7))))
        (global.set $random (i64.xor (global.get $random) (i64.shl (global.get $random) (i64.const 17))))
        (i64.store8 (local.get $at) (global.get $random))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br $next)))
    (i32.const 0))

  ;; All of it is written, to nowhere.
  (func (export "fd_write") (param $file i32) (param $pieces i32) (param $count i32) (param $written i32) (result i32)
    (local $sum i32)
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (local.set $sum (i32.add (local.get $sum) (i32.load offset=4 (local.get $pieces))))
        (local.set $pieces (i32.add (local.get $pieces) (i32.const 8)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next)))
    (i32.store (local.get $written) (local.get $sum))
    (i32.const 0))
  ;; 8: there is no such file.
  (func (export "fd_close") (param i32) (result i32) (i32.const 8))
  (func (export "fd_read") (param i32 i32 i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_fdstat_set_flags") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_get") (param i32 i32) (result i32) (i32.const 8))
  (func (export "fd_prestat_dir_name") (param i32 i32 i32) (result i32) (i32.const 8))
  (func (export "proc_exit") (param i32) unreachable))
