//! Entity tags of dogs and images, and the revisions that `If-Match` names.

use dogs_domain::service::Expected;
use dogs_domain::{Dog, Revision};
use kennel_core::ObjectKey;
use kennel_http::{ETag, HttpError, IfMatch};

/// The entity tag of a dog: its revision, followed by `t` once the thumbnail exists, which is not a new revision.
pub(super) fn dog_tag(dog: &Dog) -> Result<ETag, HttpError> {
    let thumbnail = dog.photo.as_ref().is_some_and(|photo| photo.thumbnail.is_some());
    Ok(ETag::strong(format!("{}{}", dog.revision.0, if thumbnail { "t" } else { "" }))?)
}

/// The entity tag of an image: the digest of its content, which is in its key.
pub(super) fn image_tag(key: &ObjectKey) -> Result<ETag, HttpError> {
    let file = key.as_str().rsplit('/').next().unwrap_or_default();
    Ok(ETag::strong(file.split('.').next().unwrap_or_default())?)
}

/// The revisions that `If-Match` allows a change of.
pub(super) fn expected(precondition: &IfMatch) -> Expected {
    precondition.revisions(revision).map_or(Expected::Any, Expected::OneOf)
}

fn revision(tag: &str) -> Option<Revision> {
    tag.strip_suffix('t').unwrap_or(tag).parse().ok().map(Revision)
}

#[cfg(test)]
mod tests {
    use kennel_http::EntityTags;

    use super::*;

    fn revisions(tags: &[&str]) -> Expected {
        expected(&IfMatch(Some(EntityTags::Listed(tags.iter().map(|tag| ETag::strong(*tag).unwrap()).collect()))))
    }

    #[test]
    fn if_match_names_revisions() {
        assert_eq!(expected(&IfMatch(None)), Expected::Any);
        assert_eq!(expected(&IfMatch(Some(EntityTags::Any))), Expected::Any);
        assert_eq!(revisions(&["3t", "4"]), Expected::OneOf(vec![Revision(3), Revision(4)]));
    }

    #[test]
    fn invalid_tags_in_if_match_allow_no_revision() {
        assert_eq!(revisions(&["x", "", "t", "-1", "99999999999"]), Expected::OneOf(Vec::new()));
    }

    #[test]
    fn a_tag_that_a_proxy_weakened_still_names_its_revision() {
        let weak = EntityTags::Listed(vec![ETag::weak("3t").unwrap()]);
        assert_eq!(expected(&IfMatch(Some(weak))), Expected::OneOf(vec![Revision(3)]));
    }

    #[test]
    fn images_are_tagged_by_their_content() {
        let key = "photos/ba/ba7816bf.jpg".parse().unwrap();
        assert_eq!(image_tag(&key).unwrap().to_string(), "\"ba7816bf\"");
    }
}
