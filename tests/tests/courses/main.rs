//! Whole courses of treatment on a clock that is moved by hand, on both engines: what goes wrong with a plan, and how it
//! is mended.

mod displaced;
mod disturbed;
mod fences;
mod preference;
mod repair;
mod visits;
mod world;
