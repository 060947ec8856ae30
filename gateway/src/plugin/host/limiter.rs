//! `gateway:plugin/limiter`: atomic token buckets, across exchanges and instances.

use std::time::Instant;

use wasmtime::component::{Linker, WasmStr};

use super::super::bindings::{Bucket, LimiterError, Verdict, names};
use super::{Ctx, Host, charge};
use crate::state;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    linker.instance(names::LIMITER)?.func_wrap(
        "take",
        |mut store: Ctx<'_>, (key, bucket, cost): (WasmStr, Bucket, u64)| {
            charge(&mut store)?;
            let limiter = store.data().entry.limiter.as_ref();
            let limiter = limiter.ok_or_else(|| wasmtime::Error::msg("limiter is not granted"))?;
            let key = key.to_str(&store)?;
            let bucket = state::Bucket {
                rate: bucket.rate,
                period_ms: bucket.period,
                burst: bucket.burst,
            };
            let verdict = limiter.take(&key, bucket, cost, Instant::now());
            Ok((verdict
                .map(|verdict| Verdict {
                    allowed: verdict.allowed,
                    remaining: verdict.remaining,
                    retry_after: verdict.retry_after_ms,
                    reset: verdict.reset_ms,
                })
                .map_err(to_wire),))
        },
    )
}

fn to_wire(error: state::LimiterError) -> LimiterError {
    match error {
        state::LimiterError::Invalid(text) => LimiterError::Invalid(text),
        state::LimiterError::Unavailable(text) => LimiterError::Unavailable(text),
    }
}
