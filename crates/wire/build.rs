//! Compiles the contracts in `proto/` with protox, which needs no `protoc`.

use std::{env, error::Error, fs, path::PathBuf};

const FILES: [&str; 16] = [
    "meridian/common/v1/common.proto",
    "meridian/availability/v1/day.proto",
    "meridian/availability/v1/directory.proto",
    "meridian/availability/v1/organization.proto",
    "meridian/availability/v1/search.proto",
    "meridian/availability/v1/planner.proto",
    "meridian/booking/v1/appointment.proto",
    "meridian/booking/v1/booking.proto",
    "meridian/booking/v1/displaced.proto",
    "meridian/booking/v1/feed.proto",
    "meridian/booking/v1/patient.proto",
    "meridian/booking/v1/plan.proto",
    "meridian/booking/v1/reason.proto",
    "meridian/booking/v1/waitlist.proto",
    "meridian/reminder/v1/reminder.proto",
    "meridian/reminder/v1/webhooks.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    println!("cargo::rerun-if-changed={}", root.display());
    let descriptors = protox::compile(FILES, [&root])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("descriptors.bin"), prost::Message::encode_to_vec(&descriptors))?;
    // Type names let a message be packed into the details of an error.
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names();
    // A stored answer repeats byte for byte, so maps keep an order.
    config.btree_map(["."]);
    tonic_prost_build::configure()
        // Messages with personal data do not derive `Debug`; `redact.rs` implements it.
        .skip_debug([
            "meridian.booking.v1.PatientDetails",
            "meridian.booking.v1.PatientStaffFields",
            "meridian.booking.v1.PatientContact",
            "meridian.booking.v1.PatientIdentifier",
            "meridian.booking.v1.PatientBlock",
            "meridian.booking.v1.ProposedChange",
            "meridian.booking.v1.BookAppointmentRequest",
            "meridian.booking.v1.Appointment",
            "meridian.booking.v1.Cancellation",
            "meridian.booking.v1.TransitionAppointmentRequest",
            "meridian.booking.v1.UpdateAppointmentRequest",
            "meridian.booking.v1.ResolveManageLinkRequest",
            "meridian.booking.v1.ListPatientsRequest",
            "meridian.booking.v1.RecordReplyConsentRequest",
            "meridian.booking.v1.CheckIn",
            "meridian.booking.v1.Offer",
            "meridian.booking.v1.OfferContact",
            "meridian.booking.v1.WaitlistEntry",
            "meridian.booking.v1.ListWaitlistResponse",
            "meridian.booking.v1.RecordCheckInRequest",
            "meridian.booking.v1.Plan",
            "meridian.booking.v1.Review",
            "meridian.booking.v1.ReviewPlanRequest",
            "meridian.booking.v1.SignVerificationResponse",
            "meridian.reminder.v1.Message",
            "meridian.reminder.v1.ReceiveRequest",
            "meridian.reminder.v1.StartVerificationRequest",
            "meridian.reminder.v1.CheckVerificationRequest",
            "meridian.reminder.v1.CheckVerificationResponse",
            "meridian.reminder.v1.InboxItem",
            "meridian.reminder.v1.ListInboxResponse",
            "meridian.reminder.v1.WebhookEndpoint",
            "meridian.reminder.v1.WebhookEndpointBody",
        ])
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
