//! The commands of the service.

use std::fs::File;
use std::io::BufReader;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Subcommand;
use gifs_domain::media::{CatalogueReader, Options, Progress, Reconciliation};
use kennel_config::HumanDuration;
use kennel_images::gif::{GifError, GifInfo, GifLimits, inspect};
use kennel_proto::gifs::v1::{FILE_DESCRIPTOR_SET, catalogue_client::CatalogueClient};
use kennel_service::Context;
use kennel_service::output::print_line;
use serde::Deserialize as _;
use serde::de::IntoDeserializer as _;

use crate::GifFiles;
use crate::catalogue::GrpcCatalogue;
use crate::service::media;

/// After how many rows and objects progress is shown.
const PROGRESS_STEP: u64 = 10_000;

/// The commands of the service.
#[derive(Debug, Clone, Subcommand)]
pub enum GifFilesCommand {
    /// Compare the stored rows with the objects and with the Catalogue, in both directions; the exit code is 1 if they
    /// differ.
    Reconcile {
        /// Download lost objects again, delete objects without a row, and report outcomes that the Catalogue does not know.
        #[arg(long)]
        repair: bool,
        /// What is younger than this may be incomplete: objects without a row, outcomes that are not reported.
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
    let catalogue = catalogue(cx).await?;
    let catalogue = catalogue.as_ref().map(|catalogue| catalogue as &dyn CatalogueReader);
    if catalogue.is_none() {
        tracing::warn!("CATALOGUE_GRPC_URL is not set: the catalogue is not compared");
    }
    let (mut shown, mut printed) = (0, Ok(()));
    let options = Options { repair, grace };
    let result = media.reconcile(options, catalogue, |progress, finding| {
        let Progress { blobs, objects, gifs } = progress;
        if blobs + objects + gifs >= shown + PROGRESS_STEP {
            shown = blobs + objects + gifs;
            tracing::info!(blobs, objects, gifs, "reconciling");
        }
        let Some(finding) = finding else { return };
        let repair = match &finding.repair {
            None => "",
            Some(Ok(())) => "repaired",
            Some(Err(reason)) => reason,
        };
        let line = print_line(format!("{:<13}  {}  {repair}", finding.difference.name(), finding.subject).trim_end());
        if printed.is_ok() {
            printed = line;
        }
    });
    let Reconciliation { compared, found, repaired } = result.await?;
    printed?;
    let repaired = if repair { format!(", {repaired} repaired") } else { String::new() };
    let Progress { blobs, objects, gifs } = compared;
    let gifs = if catalogue.is_some() { format!(" and {gifs} gifs of the catalogue") } else { String::new() };
    print_line(format_args!("{blobs} blobs and {objects} objects{gifs} compared, {found} differences{repaired}"))?;
    Ok(if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The Catalogue, if its URL is set.
async fn catalogue(cx: &Context<GifFiles>) -> anyhow::Result<Option<GrpcCatalogue>> {
    let Some(client) = &cx.config.catalogue else { return Ok(None) };
    let channel = cx.grpc_client("catalogue", client, &[FILE_DESCRIPTOR_SET]).await?;
    Ok(Some(GrpcCatalogue(CatalogueClient::new(channel))))
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
