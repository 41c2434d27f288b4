//! Messages to the domain's types and back.

use dogs_domain::service::{DogPatch, NewDog};
use dogs_domain::{Breed, Dog, DogId};
use kennel_core::Order;
use kennel_proto::convert::timestamp;
use kennel_proto::dogs::v1 as pb;
use tonic::Status;

use super::status::invalid;
use crate::http::Links;

/// A dog as its message.
pub(super) fn dog(dog: Dog, links: &Links) -> pb::Dog {
    pb::Dog {
        id: dog.id.to_string(),
        image_url: links.image(&dog),
        thumbnail_url: links.thumbnail(&dog),
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

/// The changes that the mask names, or, without a mask, those that have a value.
pub(super) fn patch(request: pb::UpdateDogRequest) -> Result<DogPatch, Status> {
    let new_breed = request.breed.as_deref().map(breed).transpose()?;
    let Some(mask) = request.update_mask else {
        return Ok(DogPatch { breed: new_breed, name: request.name.map(Some), image_url: request.image_url.map(Some) });
    };
    let mut patch = DogPatch::default();
    for path in mask.paths {
        match path.as_str() {
            "breed" => {
                patch.breed = Some(new_breed.clone().ok_or_else(|| invalid("breed", &"cannot be cleared"))?);
            }
            "name" => patch.name = Some(request.name.clone()),
            "image_url" => patch.image_url = Some(request.image_url.clone()),
            _ => return Err(invalid("update_mask", &"names a field that cannot be changed")),
        }
    }
    Ok(patch)
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
    fn a_mask_cannot_reach_other_fields() {
        for path in ["id", "revision", "created_at", "nonsense", "breed"] {
            assert_eq!(patch(request(Some(&[path]))).unwrap_err().code(), tonic::Code::InvalidArgument, "{path}");
        }
    }
}
