//! A contest of gRPC calls.

use anyhow::Context as _;
use kennel_proto::dogs::v1::dog_service_client::DogServiceClient;
use kennel_proto::dogs::v1::{CreateDogRequest, GetDogRequest, GetDogResponse};
use prost::Message as _;
use tempfile::NamedTempFile;

use super::{MANY, Setup};
use crate::baseline::Baseline;
use crate::contest::{self, Contestant, Score};
use crate::h2load;
use crate::service::Running;

const METHOD: &str = "/dogs.v1.DogService/GetDog";

/// Reads one dog of the memory cache; `None` if h2load is not installed.
pub(super) fn hot(setup: &Setup) -> anyhow::Result<Option<Vec<Score>>> {
    if !h2load::is_installed() {
        return Ok(None);
    }
    let dogs = Running::service(&setup.service, &[])?;
    let runtime = tokio::runtime::Runtime::new()?;
    let (request, response) = runtime.block_on(create(&dogs))?;
    let bare = Running::baseline(&Baseline::Tonic { message: serde_json::to_string(&response.encode_to_vec())? })?;
    let contestants = vec![calls("dogs", dogs, &request)?, calls("tonic, the same message", bare, &request)?];
    contest::run(contestants, setup.rounds).map(Some)
}

/// Creates a dog, and reads it.
async fn create(dogs: &Running) -> anyhow::Result<(GetDogRequest, GetDogResponse)> {
    let address = dogs.grpc.context("the service serves gRPC")?;
    let mut client = DogServiceClient::connect(format!("http://{address}")).await?;
    let dog = CreateDogRequest { breed: "husky".to_owned(), ..CreateDogRequest::default() };
    let dog = client.create_dog(dog).await?.into_inner().dog.context("a created dog")?;
    let request = GetDogRequest { id: dog.id };
    Ok((request.clone(), client.get_dog(request).await?.into_inner()))
}

fn calls(name: &str, process: Running, request: &GetDogRequest) -> anyhow::Result<Contestant> {
    let body = NamedTempFile::new()?;
    std::fs::write(body.path(), framed(request)?)?;
    let server = process.grpc.unwrap_or(process.http);
    let command = move |duration| h2load::calls(server, METHOD, body.path(), MANY, duration);
    Ok(Contestant::command(name, Some(process), command))
}

/// A message as gRPC sends it: not compressed, with its length in front.
fn framed(request: &GetDogRequest) -> anyhow::Result<Vec<u8>> {
    let message = request.encode_to_vec();
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len())?.to_be_bytes());
    framed.extend(message);
    Ok(framed)
}
