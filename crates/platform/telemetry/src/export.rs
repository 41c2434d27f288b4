//! Log lines on their way to the collector: the same JSON as on standard output, with level, trace and span beside it.

use std::io;

use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;

use crate::format::{JsonLines, Members};
use crate::guard::is_ours;

/// The layer that sends log lines through `loggers`.
pub(crate) fn layer<S>(loggers: &SdkLoggerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(Members)
        .event_format(JsonLines)
        .with_ansi(false)
        .with_writer(Outgoing(loggers.logger("kennel")))
}

/// Makes a record of each line.
struct Outgoing(SdkLogger);

/// One line, which the formatter writes in one piece; without a logger it goes nowhere.
struct Line<'a> {
    logger: Option<&'a SdkLogger>,
    level: Level,
}

impl<'a> MakeWriter<'a> for Outgoing {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line { logger: Some(&self.0), level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Line<'a> {
        Line { logger: is_ours(metadata).then_some(&self.0), level: *metadata.level() }
    }
}

impl io::Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(logger) = self.logger {
            let mut record = logger.create_log_record();
            record.set_severity_number(severity(self.level));
            record.set_severity_text(self.level.as_str());
            record.set_body(String::from_utf8_lossy(line).trim_end().to_owned().into());
            logger.emit(record);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const fn severity(level: Level) -> Severity {
    match level {
        Level::ERROR => Severity::Error,
        Level::WARN => Severity::Warn,
        Level::INFO => Severity::Info,
        Level::DEBUG => Severity::Debug,
        Level::TRACE => Severity::Trace,
    }
}
