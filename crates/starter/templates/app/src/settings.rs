//! The settings that only this application has.

//% if clients
use kennel_client::ApiConfig;
//% endif
use kennel_config::{Reader, Settings};
//% if channels
use kennel_grpc::GrpcClientConfig;
//% endif
//% if any_telegram
use kennel_telegram::TelegramConfig;
//% endif

/// The servers that it calls.
#[derive(Debug, Clone)]
pub struct AppSettings {
//% for client in clients
    /// The server of `«client.name»`.
    pub «client.module»: ApiConfig,
//% endfor
//% for channel in channels
    /// The server of `«channel.name»`.
    pub «channel.module»: GrpcClientConfig,
//% endfor
//% for bot in bots
    /// The bot `«bot.name»`.
    pub «bot.module»: TelegramConfig,
//% endfor
//% for driver in drivers if driver.kind == "telegram"
    /// The bot `«driver.name»`.
    pub «driver.module»: TelegramConfig,
//% endfor
}

impl Settings for AppSettings {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
//% for client in clients
            «client.module»: reader.named_section("«client.module»"),
//% endfor
//% for channel in channels
            «channel.module»: reader.named_section("«channel.module»"),
//% endfor
//% for bot in bots
            «bot.module»: reader.named_section("«bot.module»"),
//% endfor
//% for driver in drivers if driver.kind == "telegram"
            «driver.module»: reader.named_section("«driver.module»"),
//% endfor
        }
    }
}
