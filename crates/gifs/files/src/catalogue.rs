//! Reads the Catalogue over gRPC.

use async_trait::async_trait;
use gifs_contracts::{GifId, Refusal};
use gifs_domain::media::{CatalogueGif, CataloguePage, CatalogueReader, CatalogueState};
use kennel_core::{BoxError, Timestamp};
use kennel_grpc::GrpcChannel;
use kennel_proto::convert::millis;
use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::{self as pb, GetGifRequest, ListGifsRequest};
use tonic::Code;

/// Number of GIFs that are read at once.
const PAGE: u32 = 200;

/// The Catalogue of gif-storage.
pub(crate) struct GrpcCatalogue(pub(crate) CatalogueClient<GrpcChannel>);

#[async_trait]
impl CatalogueReader for GrpcCatalogue {
    async fn page(&self, start: Option<&str>) -> Result<CataloguePage, BoxError> {
        let page_token = start.unwrap_or_default().to_owned();
        let request = ListGifsRequest { page_size: PAGE, page_token, state: pb::State::Unspecified.into() };
        let page = self.0.clone().list_gifs(request).await?.into_inner();
        let gifs = page.gifs.into_iter().map(gif).collect::<Result<_, _>>()?;
        Ok(CataloguePage { gifs, next: Some(page.next_page_token).filter(|token| !token.is_empty()) })
    }

    async fn find(&self, id: GifId) -> Result<Option<CatalogueGif>, BoxError> {
        match self.0.clone().get_gif(GetGifRequest { id: id.to_string() }).await {
            Ok(response) => response.into_inner().gif.map(gif).transpose(),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status.into()),
        }
    }
}

fn gif(gif: pb::Gif) -> Result<CatalogueGif, BoxError> {
    let state = match gif.state() {
        pb::State::Known => CatalogueState::Known,
        pb::State::Fetching => CatalogueState::Fetching,
        pb::State::Stored => CatalogueState::Stored(gif.media.ok_or("a stored gif has no media")?.sha256.try_into()?),
        pb::State::Refused => CatalogueState::Refused(Refusal::from(gif.refusal.as_str())),
        pb::State::Unspecified => return Err("a gif has no state".into()),
    };
    let changed_at = gif.updated_at.as_ref().and_then(millis).ok_or("a gif has no time")?;
    let changed_at = Timestamp::from_millis(changed_at)?;
    Ok(CatalogueGif { id: gif.id.parse()?, url: original(gif.renditions), state, changed_at })
}

/// The address that the Catalogue publishes: that of the original GIF, else of the one with most pixels.
fn original(renditions: Vec<pb::Rendition>) -> Option<String> {
    let gifs = renditions.into_iter().filter(|rendition| rendition.format() == pb::Format::Gif);
    let rank =
        |gif: &pb::Rendition| (gif.kind() == pb::RenditionKind::Original, u64::from(gif.width) * u64::from(gif.height));
    gifs.max_by_key(rank).map(|gif| gif.url)
}
