#![expect(dead_code, reason = "the reminder role is not built yet")]
use serde::{Deserialize, Serialize};
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Config {
    pub public_url: Option<String>,
}
impl runtime::config::Section for Config {
    fn validate(&self, _: &str, _: &mut Vec<runtime::config::Fault>) {}
}
pub struct Deps {
    pub clock: runtime::Clock,
    pub ids: runtime::Ids,
    pub database: sql::Target,
    pub booking: rpc::Channel,
    pub availability: rpc::Channel,
}
pub const SERVICES: [&str; 0] = [];
pub struct App;
impl App {
    pub async fn build(_: Config, _: Deps) -> anyhow::Result<Self> {
        Ok(Self)
    }
    pub fn routes(&self) -> tonic::service::Routes {
        rpc::guard(Default::default())
    }
    pub async fn run(&self, shutdown: runtime::Shutdown) {
        shutdown.begun().await
    }
    pub async fn migrate(_: &sql::Target) -> anyhow::Result<()> {
        Ok(())
    }
}
