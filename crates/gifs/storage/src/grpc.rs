//! The gRPC service `gifs.v1.Catalogue`.

mod convert;

use gifs_domain::catalogue::{CatalogueError, CatalogueService, FindRequest, Rating, Wanted};
use kennel_core::Event;
use kennel_grpc::{COMPRESSION, Reply, failed, invalid, items, optional, page, respond, valid};
use kennel_outbox::EventFeed;
use kennel_proto::convert::{object, timestamp};
use kennel_proto::gifs::v1 as pb;
use kennel_proto::gifs::v1::catalogue_server::{Catalogue as Rpc, CatalogueServer};
use kennel_service::watch::{Messages, data, watch};
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
        let (language, position) = (optional("language", language)?, optional("page_token", token)?);
        let request = FindRequest { wanted, rating: convert::rating(rating), language, size, position: 0 };
        let found = self.catalogue.find(request, position).await.map_err(refused)?;
        let next = found.next.map(|position| position.to_string()).unwrap_or_default();
        let source = convert::source(found.origin, found.attribution, found.at);
        Ok((found.gifs.into_iter().map(convert::gif).collect(), next, source))
    }
}

#[tonic::async_trait]
impl Rpc for CatalogueRpc {
    async fn search(&self, request: Request<pb::SearchRequest>) -> Reply<pb::SearchResponse> {
        let rating = request.get_ref().rating();
        let pb::SearchRequest { query, language, page_size, page_token, .. } = request.into_inner();
        let wanted = Wanted::Search(valid("query", query.parse())?);
        let (gifs, next_page_token, source) = self.find(wanted, rating, &language, (page_size, &page_token)).await?;
        Ok(respond(pb::SearchResponse { gifs, next_page_token, source: Some(source) }))
    }

    async fn trending(&self, request: Request<pb::TrendingRequest>) -> Reply<pb::TrendingResponse> {
        let rating = request.get_ref().rating();
        let pb::TrendingRequest { page_size, page_token, .. } = request.into_inner();
        let (gifs, next_page_token, source) = self.find(Wanted::Trending, rating, "", (page_size, &page_token)).await?;
        Ok(respond(pb::TrendingResponse { gifs, next_page_token, source: Some(source) }))
    }

    async fn random(&self, request: Request<pb::RandomRequest>) -> Reply<pb::RandomResponse> {
        let rating: Rating = convert::rating(request.get_ref().rating());
        let wanted = Wanted::Random(optional("tag", &request.get_ref().tag)?);
        let request = FindRequest { wanted, rating, language: None, size: FindRequest::MAX_SIZE, position: 0 };
        let found = self.catalogue.random(request).await.map_err(refused)?;
        let source = Some(convert::source(found.origin, found.attribution, found.at));
        Ok(respond(pb::RandomResponse { gif: found.gifs.into_iter().next().map(convert::gif), source }))
    }

    async fn get_gif(&self, request: Request<pb::GetGifRequest>) -> Reply<pb::GetGifResponse> {
        let gif = self.catalogue.get(valid("id", request.get_ref().id.parse())?).await.map_err(refused)?;
        Ok(respond(pb::GetGifResponse { gif: Some(convert::gif(gif)) }))
    }

    async fn list_gifs(&self, request: Request<pb::ListGifsRequest>) -> Reply<pb::ListGifsResponse> {
        let (size, after) = page(request.get_ref().page_size, &request.get_ref().page_token)?;
        let state = convert::state_name(request.get_ref().state());
        let page = self.catalogue.list(state, after, size).await.map_err(refused)?;
        let (gifs, next_page_token) = items(page, convert::gif);
        Ok(respond(pb::ListGifsResponse { gifs, next_page_token }))
    }

    type WatchGifsStream = Messages<pb::WatchGifsResponse>;

    async fn watch_gifs(&self, request: Request<pb::WatchGifsRequest>) -> Reply<Self::WatchGifsStream> {
        Ok(Response::new(watch(&self.feed, &request.get_ref().last_event_id, message)?))
    }
}

fn message(id: Uuid, event: Option<&Event>) -> Result<pb::WatchGifsResponse, Status> {
    let id = id.to_string();
    let Some(event) = event else { return Ok(pb::WatchGifsResponse { id, ..Default::default() }) };
    Ok(pb::WatchGifsResponse {
        id,
        r#type: event.name.clone(),
        time: Some(timestamp(event.time.as_millis())),
        subject: event.key.clone(),
        data: Some(object(data(event)?)),
    })
}

fn refused(error: CatalogueError) -> Status {
    match error {
        CatalogueError::UnknownPage => invalid("page_token", &error),
        error => failed(error),
    }
}
