//! Requests as an integrator writes them: repeated under one key, over long lists, with ids that lead nowhere, with slips
//! of the keyboard.

mod idempotency;
mod paging;
mod problems;
mod references;
