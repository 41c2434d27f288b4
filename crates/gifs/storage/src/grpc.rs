//! The gRPC service `gifs.v1.Catalogue`.

mod convert;

use gifs_domain::catalogue::{CatalogueError, CatalogueService, FindRequest, Position, Rating, SearchText, Wanted};
use kennel_core::{ErrorKind, Event};
use kennel_grpc::{COMPRESSION, Details, fault, invalid, page, respond};
use kennel_outbox::EventFeed;
use kennel_proto::convert::{object, timestamp};
use kennel_proto::gifs::v1 as pb;
use kennel_proto::gifs::v1::catalogue_server::{Catalogue as Rpc, CatalogueServer};
use kennel_service::watch::{Messages, watch};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Number of GIFs of a page whose request does not say it.
const DEFAULT_SIZE: u32 = 25;

/// `gifs.v1.Catalogue` over the domain service.
#[derive(Clone)]
pub(crate) struct CatalogueRpc {
    catalogue: CatalogueService,
    feed: EventFeed,
}

impl CatalogueRpc {
    /// The service, ready to be added to a server. Messages are limited to `max_message_bytes` in both directions, and may
    /// be compressed.
    pub(crate) fn server(
        catalogue: CatalogueService,
        feed: EventFeed,
        max_message_bytes: usize,
    ) -> CatalogueServer<Self> {
        CatalogueServer::new(Self { catalogue, feed })
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes)
            .accept_compressed(COMPRESSION)
            .send_compressed(COMPRESSION)
    }

    /// A page of what is wanted, by the common fields of the requests: rating, language, size and token of the page.
    async fn find(
        &self,
        wanted: Wanted,
        rating: pb::Rating,
        language: &str,
        (size, token): (u32, &str),
    ) -> Result<(Vec<pb::Gif>, String, pb::Source), Status> {
        let size = match size {
            0 => DEFAULT_SIZE,
            1..=FindRequest::MAX_SIZE => size,
            _ => return Err(invalid("page_size", &format_args!("must be 1 to {}", FindRequest::MAX_SIZE))),
        };
        let language = Some(language).filter(|text| !text.is_empty()).map(str::parse).transpose();
        let language = language.map_err(|error| invalid("language", &error))?;
        let position = Some(token).filter(|text| !text.is_empty()).map(str::parse::<Position>).transpose();
        let position = position.map_err(|error| invalid("page_token", &error))?;
        let request = FindRequest { wanted, rating: convert::rating(rating), language, size, position: 0 };
        let found = self.catalogue.find(request, position).await.map_err(refused)?;
        let next = found.next.map(|position| position.to_string()).unwrap_or_default();
        Ok((found.gifs.into_iter().map(convert::gif).collect(), next, convert::source(found.origin, found.at)))
    }
}

#[tonic::async_trait]
impl Rpc for CatalogueRpc {
    async fn search(&self, request: Request<pb::SearchRequest>) -> Result<Response<pb::SearchResponse>, Status> {
        let rating = request.get_ref().rating();
        let pb::SearchRequest { query, language, page_size, page_token, .. } = request.into_inner();
        let wanted = Wanted::Search(text("query", &query)?);
        let (gifs, next_page_token, source) = self.find(wanted, rating, &language, (page_size, &page_token)).await?;
        Ok(respond(pb::SearchResponse { gifs, next_page_token, source: Some(source) }))
    }

    async fn trending(&self, request: Request<pb::TrendingRequest>) -> Result<Response<pb::TrendingResponse>, Status> {
        let rating = request.get_ref().rating();
        let pb::TrendingRequest { page_size, page_token, .. } = request.into_inner();
        let (gifs, next_page_token, source) = self.find(Wanted::Trending, rating, "", (page_size, &page_token)).await?;
        Ok(respond(pb::TrendingResponse { gifs, next_page_token, source: Some(source) }))
    }

    async fn random(&self, request: Request<pb::RandomRequest>) -> Result<Response<pb::RandomResponse>, Status> {
        let rating: Rating = convert::rating(request.get_ref().rating());
        let tag = Some(request.get_ref().tag.as_str()).filter(|tag| !tag.is_empty());
        let wanted = Wanted::Random(tag.map(|tag| text("tag", tag)).transpose()?);
        let request = FindRequest { wanted, rating, language: None, size: FindRequest::MAX_SIZE, position: 0 };
        let (gif, origin, at) = self.catalogue.random(request).await.map_err(refused)?;
        Ok(respond(pb::RandomResponse { gif: Some(convert::gif(gif)), source: Some(convert::source(origin, at)) }))
    }

    async fn get_gif(&self, request: Request<pb::GetGifRequest>) -> Result<Response<pb::GetGifResponse>, Status> {
        let id = request.get_ref().id.parse().map_err(|error: uuid::Error| invalid("id", &error))?;
        let gif = self.catalogue.get(id).await.map_err(refused)?;
        Ok(respond(pb::GetGifResponse { gif: Some(convert::gif(gif)) }))
    }

    async fn list_gifs(&self, request: Request<pb::ListGifsRequest>) -> Result<Response<pb::ListGifsResponse>, Status> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let state = convert::state_name(request.get_ref().state());
        let page = self.catalogue.list(state, after, size).await.map_err(refused)?;
        let next_page_token = page.next.map(|cursor| cursor.to_string()).unwrap_or_default();
        let gifs = page.items.into_iter().map(convert::gif).collect();
        Ok(respond(pb::ListGifsResponse { gifs, next_page_token }))
    }

    type WatchGifsStream = Messages<pb::WatchGifsResponse>;

    async fn watch_gifs(
        &self,
        request: Request<pb::WatchGifsRequest>,
    ) -> Result<Response<Self::WatchGifsStream>, Status> {
        Ok(Response::new(watch(&self.feed, &request.get_ref().last_event_id, message)?))
    }
}

/// The text of the field `field`.
fn text(field: &'static str, text: &str) -> Result<SearchText, Status> {
    text.parse().map_err(|error| invalid(field, &error))
}

fn message(id: Uuid, event: Option<&Event>) -> Result<pb::WatchGifsResponse, Status> {
    let id = id.to_string();
    let Some(event) = event else { return Ok(pb::WatchGifsResponse { id, ..Default::default() }) };
    let data: serde_json::Map<_, _> =
        serde_json::from_slice(&event.data).map_err(|error| fault(ErrorKind::Internal, &error, Details::default()))?;
    Ok(pb::WatchGifsResponse {
        id,
        r#type: event.name.clone(),
        time: Some(timestamp(event.time.as_millis())),
        subject: event.key.clone(),
        data: Some(object(data)),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "it is the argument of `map_err`")]
fn refused(error: CatalogueError) -> Status {
    if matches!(error, CatalogueError::UnknownPage) {
        return invalid("page_token", &error);
    }
    let details = Details { retry_after: error.retry_after(), ..Details::default() };
    fault(error.kind(), &error, details)
}
