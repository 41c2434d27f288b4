//! `dogs import`: a file or standard input, with a progress bar on a terminal and a report of the rejected lines.

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use dogs_domain::import::{ImportReport, LineError, MAX_REPORTED, lines};
use dogs_domain::{DogError, DogService};
use futures_util::{StreamExt as _, TryStreamExt as _};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use super::args::Import;
use super::progress_bar;
use kennel_service::output::print_line;

/// The size of a read, in bytes.
const CHUNK: usize = 256 * 1024;

/// Runs the import. Exits with a failure if lines were rejected; all others are imported.
pub(super) async fn run(service: &DogService, options: &Import) -> anyhow::Result<ExitCode> {
    let from_file = options.file.as_os_str() != "-";
    let key = match &options.key {
        Some(key) => key.clone(),
        None if from_file => digest(&options.file).await?,
        None => bail!("standard input needs --key, so that the import can be resumed"),
    };
    let (input, size): (Box<dyn AsyncRead + Send + Unpin>, _) = if from_file {
        let file = open(&options.file).await?;
        let size = file.metadata().await?.len();
        (Box::new(file), Some(size))
    } else {
        (Box::new(tokio::io::stdin()), None)
    };
    let template = match size {
        Some(_) => "{wide_bar} {percent:>3}% {bytes_per_sec} eta {eta}  {msg}",
        None => "{spinner} {bytes} {bytes_per_sec}  {msg}",
    };
    let bar = progress_bar::new(size, template);
    let chunks = ReaderStream::with_capacity(input, CHUNK).inspect_ok(|chunk| bar.inc(chunk.len() as u64)).boxed();
    let outcome = service.import(&key, lines(chunks), |report| bar.set_message(summary(report))).await;
    bar.finish_and_clear();
    let report = outcome.map_err(by_option).with_context(|| format!("import {key}"))?;
    write_errors(options.errors.as_deref(), &report)?;
    print_line(summary(&report))?;
    Ok(if report.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The error with the name of the command-line option instead of the field.
fn by_option(error: DogError) -> DogError {
    match error {
        DogError::Invalid { reason, .. } => DogError::Invalid { field: "--key", reason },
        other => other,
    }
}

async fn open(path: &Path) -> anyhow::Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path).await.with_context(|| path.display().to_string())?;
    if !file.metadata().await?.is_file() {
        bail!("{} is not a regular file; read it through standard input with --key", path.display());
    }
    Ok(file)
}

/// The SHA-256 of the file, so that the same lines are the same import.
async fn digest(path: &Path) -> anyhow::Result<String> {
    let mut file = open(path).await?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer).await?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    Ok(format!("sha256:{:x}", hasher.finalize()))
}

fn summary(report: &ImportReport) -> String {
    let ImportReport { lines, created, existing, failed, resumed_from, .. } = report;
    let resumed = if *resumed_from > 0 { format!(", resumed after line {resumed_from}") } else { String::new() };
    format!("{lines} lines: {created} created, {existing} existing, {failed} rejected{resumed}")
}

fn write_errors(path: Option<&Path>, report: &ImportReport) -> anyhow::Result<()> {
    let Some(path) = path else {
        let mut out = std::io::stderr().lock();
        for error in &report.errors {
            writeln!(out, "{}", plain(error))?;
        }
        let omitted = report.failed.saturating_sub(MAX_REPORTED as u64);
        if omitted > 0 {
            writeln!(out, "and {omitted} more lines")?;
        }
        return Ok(());
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(path).with_context(|| path.display().to_string())?);
    for error in &report.errors {
        serde_json::to_writer(&mut out, error)?;
        writeln!(out)?;
    }
    Ok(out.flush()?)
}

fn plain(error: &LineError) -> String {
    match &error.field {
        Some(field) => format!("line {}: {field}: {}", error.line, error.reason),
        None => format!("line {}: {}", error.line, error.reason),
    }
}
