//! Appointments that patients were told about and that booking has no more, since its database was restored.

use domain::time::from_micros;
use runtime::Clock;
use sql::Target;

use crate::{config::Config, roles::Role};

/// Appointments that are listed.
const LISTED_MAX: usize = 20;

/// Lists the upcoming ones; fails if there are any.
pub(super) async fn check(config: &Config, clock: &Clock) -> Result<String, String> {
    let target = config.database_of(Role::Reminder);
    if matches!(&target, Target::Sqlite(path) if !path.exists()) {
        return Ok("there are none yet".into());
    }
    // One more than is listed shows that there are more.
    let limit = i64::try_from(LISTED_MAX + 1).unwrap_or(i64::MAX);
    let absent = reminder::App::absent_appointments(&target, clock.now_us(), limit).await;
    let absent = absent.map_err(|error| format!("reminder's database cannot be read: {error}"))?;
    if absent.is_empty() {
        return Ok("booking has every appointment that patients were told about".into());
    }
    for one in absent.iter().take(LISTED_MAX) {
        let start = from_micros(one.starts_at_us).unwrap_or_default();
        println!("        {} of {} at {start}", one.appointment, one.organization);
    }
    let more = if absent.len() > LISTED_MAX { ", the first of more" } else { "" };
    Err(format!(
        "booking has {} upcoming appointments no more{more}: it was restored to a state from before them; book them again or \
         call their patients, whose numbers are in reminder's messages",
        absent.len().min(LISTED_MAX)
    ))
}
