//! The commands of the service.

use std::process::ExitCode;

use clap::Subcommand;
use kennel_config::HumanDuration;
use kennel_core::Timestamp;
use kennel_service::Context;
use kennel_service::output::print_line;
use market_domain::{Micros, Symbol, Venue};
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

use crate::MarketPreprocessor;
use crate::audit::locks::alone;
use crate::audit::{Finding, Scope, Summary};
use crate::service::{audit, audit_locks};

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum PreprocessorCommand {
    /// Compare the final candles of one minute with those that the venues compute themselves; the exit code is 1 if they differ.
    Audit {
        /// Only instruments of this venue.
        #[arg(long)]
        venue: Option<Venue>,
        /// Only instruments with this symbol, such as `BTC-USD`.
        #[arg(long)]
        symbol: Option<Symbol>,
        /// How long before the end to start.
        #[arg(long, default_value = "1h", value_parser = duration)]
        span: HumanDuration,
        /// Only minutes that end at this time in RFC 3339 or before, such as `2026-01-31T12:00:00Z`; by default up to the newest
        /// final one that is at least two minutes old.
        #[arg(long)]
        to: Option<Timestamp>,
        /// Replace candles that differ by what the venue's trades add up to, and publish their new revisions.
        #[arg(long)]
        repair: bool,
    },
}

fn duration(text: &str) -> Result<HumanDuration, serde::de::value::Error> {
    HumanDuration::deserialize(text.into_deserializer())
}

/// Runs the command.
pub(crate) async fn run(cx: &Context<MarketPreprocessor>, command: PreprocessorCommand) -> anyhow::Result<ExitCode> {
    let PreprocessorCommand::Audit { venue, symbol, span, to, repair } = command;
    let to = to.map(|to| Micros(to.as_millis() * 1_000));
    let span = i64::try_from(span.get().as_micros()).unwrap_or(i64::MAX);
    let (audit, scope) = (audit(cx).await?, Scope { venue, symbol, span, to, repair });
    let mut printed = print_line(format_args!(
        "{:<8}  {:<12}  {:<20}  {:<12}  {:>24}  {:>24}  {}",
        "venue", "symbol", "minute", "value", "own", "venue's", "repair"
    ));
    let result = audit.run(&scope, |finding| {
        if printed.is_ok() {
            printed = print(&finding);
        }
    });
    let Summary { compared, different, repaired } = alone(&audit_locks(cx).await?, result).await??;
    printed?;
    let repaired = if repair { format!(", {repaired} repaired") } else { String::new() };
    print_line(format_args!("{compared} minutes compared, {different} differ{repaired}"))?;
    Ok(if different == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A line for each value that differs.
fn print(finding: &Finding) -> std::io::Result<()> {
    let Finding { instrument, window, differences, repair } = finding;
    let repair = match repair {
        None => String::new(),
        Some(Ok(())) => "repaired".to_owned(),
        Some(Err(error)) => error.to_string(),
    };
    for difference in differences {
        let line = format!(
            "{:<8}  {:<12}  {:<20}  {:<12}  {:>24}  {:>24}  {repair}",
            instrument.venue.name(),
            instrument.symbol.as_str(),
            minute(window.open_time),
            difference.field,
            difference.own,
            difference.venue,
        );
        print_line(line.trim_end())?;
    }
    Ok(())
}

/// The time in RFC 3339, without a fraction.
fn minute(time: Micros) -> String {
    let time = Timestamp::from_millis(time.0 / 1_000);
    time.map(|time| time.to_string().replace(".000Z", "Z")).unwrap_or_default()
}
