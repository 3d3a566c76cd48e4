//! Requests as an integrator writes them: repeated under one key, over long lists, with ids that lead nowhere, with slips
//! of the keyboard.

mod keyed;
mod lists;
mod problems;
mod references;
