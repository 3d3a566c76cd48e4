//! The gRPC contracts of `proto/` as Rust types, and the conversions between them and the domain.
//!
//! The crate has no rules of scheduling, calls or stores. Conversions from the wire collect every fault with a JSON pointer;
//! conversions to the wire cannot fail. [`access`] says which role may call which method.

#![warn(clippy::unwrap_used)]

pub mod access;
pub mod convert;
mod redact;

/// The encoded descriptors of all contracts, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

#[expect(
    missing_docs,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::too_many_lines,
    reason = "generated; the documentation is in proto/"
)]
mod generated {
    pub mod meridian {
        pub mod common {
            pub mod v1 {
                tonic::include_proto!("meridian.common.v1");
            }
        }
        pub mod availability {
            pub mod v1 {
                tonic::include_proto!("meridian.availability.v1");
            }
        }
        pub mod booking {
            pub mod v1 {
                tonic::include_proto!("meridian.booking.v1");
            }
        }
        pub mod reminder {
            pub mod v1 {
                tonic::include_proto!("meridian.reminder.v1");
            }
        }
    }
}

pub use generated::meridian::{
    availability::v1 as availability, booking::v1 as booking, common::v1 as common, reminder::v1 as reminder,
};
