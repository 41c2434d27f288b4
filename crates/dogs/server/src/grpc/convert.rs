//! Converts between messages and domain types.

use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, Dog, DogId};
use kennel_core::Order;
use kennel_proto::convert::timestamp;
use kennel_proto::dogs::v1 as pb;
use tonic::Status;

use crate::http::DogUrls;
use kennel_grpc::invalid;

/// A dog as its message.
pub(super) fn dog(dog: Dog, urls: &DogUrls) -> pb::Dog {
    pb::Dog {
        id: dog.id.to_string(),
        image_url: urls.image(&dog),
        thumbnail_url: urls.thumbnail(&dog),
        breed: dog.breed.into(),
        name: dog.name,
        revision: dog.revision.0,
        created_at: Some(timestamp(dog.created_at.as_millis())),
        updated_at: Some(timestamp(dog.updated_at.as_millis())),
    }
}

pub(super) fn breed(text: &str) -> Result<Breed, Status> {
    text.parse().map_err(|error| invalid("breed", &error))
}

pub(super) fn dog_id(text: &str) -> Result<DogId, Status> {
    text.parse().map_err(|_| invalid("id", &"must be a UUID"))
}

pub(super) fn order(value: i32) -> Result<Order, Status> {
    match pb::Order::try_from(value) {
        Ok(pb::Order::Unspecified | pb::Order::Descending) => Ok(Order::Descending),
        Ok(pb::Order::Ascending) => Ok(Order::Ascending),
        Err(_) => Err(invalid("order", &"is not a known order")),
    }
}

pub(super) fn new_dog(request: pb::CreateDogRequest) -> Result<NewDog, Status> {
    Ok(NewDog { breed: breed(&request.breed)?, name: request.name, image_url: request.image_url })
}

/// The fields of a dog that a mask can name.
const CHANGEABLE: [&str; 3] = ["breed", "name", "image_url"];
/// Maximum number of characters of an invalid path to show.
const MAX_SHOWN: usize = 64;

/// The changes that the mask selects; all fields for `*`. Without a mask or with an empty one, the fields with a value
/// (AIP-134).
pub(super) fn patch(request: pb::UpdateDogRequest) -> Result<DogPatch, Status> {
    let new_breed = request.breed.as_deref().map(breed).transpose()?;
    let paths = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
    if paths.is_empty() {
        return Ok(DogPatch { breed: new_breed, name: request.name.map(Some), image_url: request.image_url.map(Some) });
    }
    if let Some(path) = paths.iter().find(|path| *path != "*" && !CHANGEABLE.contains(&path.as_str())) {
        return Err(unknown_path(path));
    }
    let named = |field: &str| paths.iter().any(|path| path == "*" || path == field);
    let breed = named("breed").then(|| new_breed.ok_or_else(|| invalid("breed", &"cannot be cleared"))).transpose()?;
    let (name, image_url) = (named("name").then_some(request.name), named("image_url").then_some(request.image_url));
    Ok(DogPatch { breed, name, image_url })
}

fn unknown_path(path: &str) -> Status {
    let shown: String = path.chars().take(MAX_SHOWN).flat_map(char::escape_debug).collect();
    let changeable = CHANGEABLE.join(", ");
    invalid("update_mask", &format!("`{shown}` cannot be changed; use {changeable}, or * for all"))
}

#[cfg(test)]
mod tests {
    use kennel_proto::dogs::v1::UpdateDogRequest;

    use super::*;

    fn request(mask: Option<&[&str]>) -> UpdateDogRequest {
        let update_mask =
            mask.map(|paths| prost_types::FieldMask { paths: paths.iter().map(|&path| path.to_owned()).collect() });
        UpdateDogRequest { name: Some("Rex".to_owned()), update_mask, ..UpdateDogRequest::default() }
    }

    #[test]
    fn without_a_mask_only_given_values_change() {
        let patch = patch(request(None)).unwrap();
        assert_eq!(patch, DogPatch { name: Some(Some("Rex".to_owned())), ..DogPatch::default() });
    }

    #[test]
    fn a_masked_field_without_a_value_is_cleared() {
        let patch = patch(request(Some(&["image_url"]))).unwrap();
        assert_eq!(patch, DogPatch { image_url: Some(None), ..DogPatch::default() });
    }

    #[test]
    fn an_empty_mask_is_like_no_mask() {
        assert_eq!(patch(request(Some(&[]))).unwrap(), patch(request(None)).unwrap());
    }

    #[test]
    fn a_star_replaces_every_field() {
        let all = UpdateDogRequest { breed: Some("Pug".to_owned()), ..request(Some(&["*"])) };
        let replaced =
            DogPatch { breed: Some("pug".parse().unwrap()), name: Some(Some("Rex".to_owned())), image_url: Some(None) };
        assert_eq!(patch(all).unwrap(), replaced);
        assert!(patch(request(Some(&["*"]))).unwrap_err().message().starts_with("breed: "), "every dog has a breed");
    }

    #[test]
    fn a_wrong_path_is_named() {
        let message = |path: &str| patch(request(Some(&["name", path]))).unwrap_err().message().to_owned();
        assert_eq!(
            message("created_at"),
            "update_mask: `created_at` cannot be changed; use breed, name, image_url, or * for all"
        );
        assert!(message(&"\n".repeat(1_000)).len() < 256, "and truncated");
    }

    #[test]
    fn a_mask_cannot_reach_other_fields() {
        for path in ["id", "revision", "created_at", "nonsense", "breed", "", "name.first", "**"] {
            assert_eq!(patch(request(Some(&[path]))).unwrap_err().code(), tonic::Code::InvalidArgument, "{path}");
        }
    }
}
