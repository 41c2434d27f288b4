//! Exports log lines to the collector: the same JSON as on standard output, with level, trace and span as attributes.

use std::io;

use opentelemetry::logs::{LogRecord as _, Logger as _, LoggerProvider as _, Severity};
use opentelemetry_sdk::logs::{SdkLogger, SdkLoggerProvider};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;

use crate::format::{JsonFields, JsonLines};
use crate::guard::is_application;

/// Creates the layer that exports log lines through `loggers`.
pub(crate) fn layer<S>(loggers: &SdkLoggerProvider) -> impl Layer<S> + use<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    tracing_subscriber::fmt::layer()
        .fmt_fields(JsonFields)
        .event_format(JsonLines)
        .with_ansi(false)
        .with_writer(OtlpWriter(loggers.logger("kennel")))
}

/// Writer that emits a log record for each line.
struct OtlpWriter(SdkLogger);

/// One line, which the formatter writes with one call. Without a logger it is discarded.
struct OtlpLine<'a> {
    logger: Option<&'a SdkLogger>,
    level: Level,
}

impl<'a> MakeWriter<'a> for OtlpWriter {
    type Writer = OtlpLine<'a>;

    fn make_writer(&'a self) -> OtlpLine<'a> {
        OtlpLine { logger: Some(&self.0), level: Level::INFO }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> OtlpLine<'a> {
        OtlpLine { logger: is_application(metadata).then_some(&self.0), level: *metadata.level() }
    }
}

impl io::Write for OtlpLine<'_> {
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
