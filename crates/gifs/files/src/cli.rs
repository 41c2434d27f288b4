//! The commands of the service.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use gifs_domain::media::{Options, Reconciliation};
use kennel_config::HumanDuration;
use kennel_images::gif::{GifError, GifInfo, GifLimits, inspect};
use kennel_service::Context;
use kennel_service::output::print_line;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

use crate::GifFiles;
use crate::service::media;

/// After how many rows and objects progress is shown.
const PROGRESS_STEP: u64 = 10_000;

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum GifFilesCommand {
    /// Compare the stored rows with the objects, in both directions; the exit code is 1 if they differ.
    Reconcile {
        /// Download lost objects again, and delete objects without a row.
        #[arg(long)]
        repair: bool,
        /// Objects without a row that are younger than this are expected.
        #[arg(long, default_value = "1h", value_parser = duration)]
        grace: HumanDuration,
    },
    /// Print what is in GIF files, and whether they would be accepted.
    Inspect {
        /// The files.
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
}

fn duration(text: &str) -> Result<HumanDuration, serde::de::value::Error> {
    HumanDuration::deserialize(text.into_deserializer())
}

/// Runs the command.
pub(crate) async fn run(cx: &Context<GifFiles>, command: GifFilesCommand) -> anyhow::Result<ExitCode> {
    match command {
        GifFilesCommand::Inspect { files } => inspect_all(&files),
        GifFilesCommand::Reconcile { repair, grace } => reconcile(cx, repair, grace.get()).await,
    }
}

async fn reconcile(cx: &Context<GifFiles>, repair: bool, grace: Duration) -> anyhow::Result<ExitCode> {
    let media = media(cx).await?;
    let (mut shown, mut printed) = (0, Ok(()));
    let options = Options { repair, grace };
    let result = media.reconcile(options, |progress, finding| {
        if progress.blobs + progress.objects >= shown + PROGRESS_STEP {
            shown = progress.blobs + progress.objects;
            tracing::info!(blobs = progress.blobs, objects = progress.objects, "reconciling");
        }
        let Some(finding) = finding else { return };
        let repair = match &finding.repair {
            None => "",
            Some(Ok(())) => "repaired",
            Some(Err(reason)) => reason,
        };
        let line = print_line(format!("{:<10}  {}  {repair}", finding.difference.name(), finding.key).trim_end());
        if printed.is_ok() {
            printed = line;
        }
    });
    let Reconciliation { compared, found, repaired } = result.await?;
    printed?;
    let repaired = if repair { format!(", {repaired} repaired") } else { String::new() };
    print_line(format_args!(
        "{} blobs and {} objects compared, {found} differences{repaired}",
        compared.blobs, compared.objects
    ))?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn inspect_all(files: &[PathBuf]) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    for path in files {
        let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
        let result = match inspect(BufReader::new(file), &GifLimits::default()) {
            Ok(info) => accepted(&info),
            Err(GifError::Io(error)) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
            Err(error) => {
                code = ExitCode::FAILURE;
                format!("refused  {error}")
            }
        };
        print_line(format!("{}  {result}", path.display()).trim_end())?;
    }
    Ok(code)
}

fn accepted(info: &GifInfo) -> String {
    let defects: Vec<_> = info.defects.iter().map(|defect| defect.name()).collect();
    let plays = info.plays.map_or_else(|| "endless".to_owned(), |plays| format!("{plays} times"));
    let GifInfo { width, height, frames, .. } = info;
    let seconds = info.duration.as_secs_f64();
    format!("accepted  {width}x{height}  {frames} frames  {seconds:.2} s  {plays}  {}", defects.join(","))
}
