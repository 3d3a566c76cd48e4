//! Requests of an integrator: repeated with a key, over long lists, with unknown ids, with misspelt fields.

mod idempotency;
mod paging;
mod problems;
mod references;
