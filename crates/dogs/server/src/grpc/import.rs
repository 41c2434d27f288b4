//! `ImportDogs`: converts rows in messages to the lines of an import.

use std::borrow::Cow;

use bytes::Bytes;
use dogs_domain::import::{ImportReport, Line, Row};
use dogs_domain::{DogError, DogService};
use futures_util::{StreamExt as _, stream};
use kennel_app::Stop;
use kennel_core::{BoxError, ErrorKind, IdSource, Timestamp};
use kennel_grpc::Details;
use kennel_net::with_idle_timeout;
use kennel_proto::convert::millis;
use kennel_proto::dogs::v1 as pb;
use tonic::{Request, Status, Streaming};

use super::status::import_error;
use kennel_grpc::invalid;

pub(super) async fn run(
    service: &DogService,
    ids: &dyn IdSource,
    request: Request<Streaming<pb::ImportDogsRequest>>,
) -> Result<pb::ImportDogsResponse, Status> {
    let stop = request.extensions().get::<Stop>().cloned().unwrap_or_else(Stop::new);
    let mut messages = request.into_inner();
    let Some(mut first) = messages.message().await? else {
        return Err(invalid("import_key", &"an import needs at least one message"));
    };
    let import = match std::mem::take(&mut first.import_key) {
        key if key.is_empty() => ids.next().to_string(),
        key => key,
    };
    let lines = with_idle_timeout(stop.clone(), stream::once(async { Ok(first) }).chain(messages))
        .map(|message| message.and_then(|message| message.rows.into_iter().map(line).collect()));
    match service.import(&import, lines, |_| ()).await {
        Ok(report) => Ok(response(report)),
        // The client can resume the import at another replica.
        Err(DogError::Interrupted { .. }) if stop.is_requested() => {
            Err(kennel_grpc::status(ErrorKind::Unavailable, "", Details::default()))
        }
        Err(error) => Err(import_error(error)),
    }
}

/// The row as the line of an NDJSON import, so that both protocols have the same validation and the same digest.
fn line(row: pb::ImportDogsRow) -> Result<Line, BoxError> {
    let mut json = serde_json::to_value(Row {
        breed: Cow::Owned(row.breed),
        name: row.name.map(Cow::Owned),
        image_url: row.image_url.map(Cow::Owned),
        id: None,
        created_at: None,
    })?;
    if let Some(time) = row.created_at {
        let known = millis(&time).and_then(|millis| Timestamp::from_millis(millis).ok());
        // An invalid time becomes invalid text, which the import rejects like any other value.
        let text = known.map_or_else(|| format!("{} s, {} ns", time.seconds, time.nanos), |time| time.to_string());
        json["created_at"] = text.into();
    }
    if let Some(id) = row.id {
        json["id"] = id.into();
    }
    Ok(Line::Json(Bytes::from(serde_json::to_vec(&json)?)))
}

fn response(report: ImportReport) -> pb::ImportDogsResponse {
    pb::ImportDogsResponse {
        import_key: report.import,
        lines: report.lines,
        created: report.created,
        skipped: report.existing,
        failed: report.failed,
        errors: report
            .errors
            .into_iter()
            .map(|error| pb::ImportDogsError {
                line: error.line,
                field: error.field.unwrap_or_default().into_owned(),
                reason: error.reason,
            })
            .collect(),
        resumed_from: report.resumed_from,
    }
}
