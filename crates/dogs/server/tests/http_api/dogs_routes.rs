//! Fetch, list, create, read, update and delete.

use std::collections::BTreeSet;
use std::time::Duration;

use kennel_core::Receipt;
use serde_json::{Value, json};

use crate::support::{FaultMode, PUBLIC_URL, TestApp, TestResponse};

/// An id that no dog has.
const UNKNOWN_ID: &str = "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10";

#[tokio::test]
async fn a_fetched_image_is_served() {
    let app = TestApp::start().await;
    let fetched = app.get("/api/v1/dogs/husky/image").await.expect(200);
    assert_eq!(fetched.header("cache-control"), "no-store");
    let body = fetched.json();
    let id = body["id"].as_str().unwrap();
    assert_eq!(body["image_url"], format!("{PUBLIC_URL}/api/v1/dogs/{id}/photo"));
    assert_eq!((&body["breed"], &body["thumbnail_url"]), (&json!("husky"), &Value::Null));
    let photo = app.get(body["image_url"].as_str().unwrap()).await.expect(200);
    assert_eq!((photo.header("content-type"), &photo.body[..2]), ("image/jpeg", &[0xff, 0xd8][..]));
    let dog = app.get(&format!("/api/v1/dogs/{id}")).await.expect(200).json();
    assert_eq!((&dog["image_url"], &dog["created_at"]), (&body["image_url"], &body["created_at"]));
    let listed = app.get("/api/v1/dogs?breed=husky").await.expect(200).json();
    assert_eq!(listed["items"], json!([dog]));
}

#[tokio::test]
async fn sub_breeds_have_three_spellings() {
    let app = TestApp::start().await;
    for path in ["hound-afghan", "hound/afghan", "Hound%20Afghan", "hound%2Fafghan"] {
        let body = app.get(&format!("/api/v1/dogs/{path}/image")).await.expect(200).json();
        assert_eq!(body["breed"], "hound-afghan", "{path}");
    }
}

#[tokio::test]
async fn unknown_breeds_are_not_found() {
    let app = TestApp::start().await;
    for breed in ["unicorn", "hound/unicorn", "not.a.breed", "h%C3%BCsky", "%20", "a-b-c-d-e"] {
        let response = app.get(&format!("/api/v1/dogs/{breed}/image")).await.expect(404);
        assert_eq!(response.json()["code"], "not_found", "{breed}");
    }
    app.get("/api/v1/dogs/%ff/image").await.expect(400);
}

#[tokio::test]
async fn source_errors_are_distinguished_and_hide_their_cause() {
    let app = TestApp::start().await;
    for (fault, status, code, retry_after) in [
        (FaultMode::Unavailable(Some(Duration::from_secs(17))), 503, "unavailable", "17"),
        (FaultMode::Unavailable(None), 503, "unavailable", "5"),
        (FaultMode::Timeout, 504, "timeout", "5"),
        (FaultMode::Unusable, 502, "bad_upstream", ""),
    ] {
        app.source.set_fault(fault);
        let response = app.get("/api/v1/dogs/husky/image").await.expect(status);
        let body = response.json();
        assert_eq!((&body["code"], response.header("retry-after")), (&json!(code), retry_after), "{fault:?}");
        let keys: BTreeSet<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, BTreeSet::from(["code", "request_id", "status", "title", "type"]), "{fault:?}");
    }
    app.source.set_fault(FaultMode::None);
    app.get("/api/v1/dogs/husky/image").await.expect(200);
}

#[tokio::test]
async fn a_head_request_creates_no_dog() {
    let app = TestApp::start().await;
    TestResponse::of(app.request("HEAD", "/api/v1/dogs/husky/image")).await;
    assert_eq!(app.get("/api/v1/dogs").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn a_dog_is_created_read_and_deleted() {
    let app = TestApp::start().await;
    let new = json!({ "breed": "Husky", "name": "Balto", "image_url": "https://example.org/b.jpg" });
    let created = app.send("POST", "/api/v1/dogs", new).await.expect(201);
    let dog = created.json();
    let path = created.header("location");
    assert_eq!(path, format!("{PUBLIC_URL}/api/v1/dogs/{}", dog["id"].as_str().unwrap()));
    assert_eq!(created.header("etag"), "\"1\"");
    assert_eq!((&dog["breed"], &dog["name"], &dog["revision"]), (&json!("husky"), &json!("Balto"), &json!(1)));
    assert_eq!((&dog["image_url"], &dog["source_url"]), (&json!("https://example.org/b.jpg"), &dog["image_url"]));
    let read = app.get(path).await.expect(200);
    assert_eq!((read.json(), read.header("etag")), (dog, "\"1\""));
    let removed = TestResponse::of(app.request("DELETE", path)).await.expect(204);
    assert!(removed.body.is_empty());
    app.get(path).await.expect(404);
    TestResponse::of(app.request("DELETE", path)).await.expect(404);
}

#[tokio::test]
async fn a_parameter_without_a_value_is_absent() {
    let app = TestApp::start().await;
    app.dog("husky").await;
    let listed = app.get("/api/v1/dogs?cursor=&breed=&limit=&order=").await.expect(200).json();
    assert_eq!(listed["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn invalid_bodies_are_rejected_with_the_reason() {
    let app = TestApp::start().await;
    let post = |content_type: &'static str, body: &'static str| {
        TestResponse::of(app.request("POST", "/api/v1/dogs").header("content-type", content_type).body(body))
    };
    for broken in ["", "{", "{\"breed\": husky}", "{\"breed\":\"husky\"} x"] {
        assert_eq!(post("application/json", broken).await.expect(400).json()["code"], "malformed", "{broken}");
    }
    for (wrong, field) in [
        (r"{}", "breed"),
        (r#"{"breed": 3}"#, "breed"),
        (r#"{"breed": "a.b"}"#, "breed"),
        (r#"{"breed": "husky", "colour": "red"}"#, "colour"),
        (r#"{"breed": "husky", "name": " "}"#, "name"),
        (r#"{"breed": "husky", "image_url": "ftp://example.org"}"#, "image_url"),
    ] {
        post("application/json", wrong).await.expect_invalid(field);
    }
    for no_object in [r#"["husky","Rex",null]"#, r#""husky""#, "null", "7"] {
        let response = post("application/json", no_object).await.expect(422).json();
        assert_eq!(response["detail"], "body: must be an object", "{no_object}");
    }
    // Errors name fields of the API, not types of the implementation.
    for (wrong, field) in [(r#"{"breed": {"a": 1}}"#, "breed"), (r#"{"breed": "husky", "name": []}"#, "name")] {
        let response = post("application/json", wrong).await.expect_invalid(field).json();
        assert!(!response.to_string().contains("Request") && !response.to_string().contains("struct"), "{response}");
    }
    for secret in ["https://user:secret@example.org/a.jpg", "HTTP://user@example.org", "https://a:b@[::1]/"] {
        let wrong = format!(r#"{{"breed": "husky", "image_url": "{secret}"}}"#);
        let request = app.request("POST", "/api/v1/dogs").header("content-type", "application/json").body(wrong);
        assert!(
            !TestResponse::of(request).await.expect_invalid("image_url").json().to_string().contains("user:"),
            "{secret}"
        );
    }
    for good in ["HTTPS://EXAMPLE.org/a.jpg", "https://example.org/?a=b@c"] {
        let dog = serde_json::json!({ "breed": "husky", "image_url": good });
        let created = app.send("POST", "/api/v1/dogs", dog).await.expect(201).json();
        TestResponse::of(app.request("DELETE", &format!("/api/v1/dogs/{}", created["id"].as_str().unwrap())))
            .await
            .expect(204);
    }
    post("text/plain", r#"{"breed": "husky"}"#).await.expect(415);
    let large = app.request("POST", "/api/v1/dogs").header("content-type", "application/json");
    TestResponse::of(large.body(vec![b' '; 1024 * 1024 + 1])).await.expect(413);
    assert_eq!(app.get("/api/v1/dogs").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_key_creates_one_dog_with_one_response() {
    let app = TestApp::start().await;
    let post = |key: &'static str, breed: &'static str| {
        TestResponse::of(
            app.request("POST", "/api/v1/dogs").header("idempotency-key", key).json(&json!({ "breed": breed })),
        )
    };
    let (one, other) = tokio::join!(post("k-1", "husky"), post("k-1", "husky"));
    let again = post("k-1", "husky").await.expect(201);
    let replayed = [&one, &other, &again].map(|response| response.header("idempotency-replayed"));
    assert_eq!(replayed.iter().filter(|mark| **mark == "true").count(), 2, "{replayed:?}");
    for response in [one, other] {
        let response = response.expect(201);
        assert_eq!((response.json(), response.header("location")), (again.json(), again.header("location")));
        assert_eq!(response.header("etag"), again.header("etag"));
    }
    post("k-1", "boxer").await.expect_invalid("Idempotency-Key");
    post("a b", "boxer").await.expect_invalid("Idempotency-Key");
    assert_eq!(app.get("/api/v1/dogs").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_patch_changes_only_its_fields() {
    let app = TestApp::start().await;
    let new = json!({ "breed": "husky", "name": "Balto", "image_url": "https://example.org/b.jpg" });
    let path = app.send("POST", "/api/v1/dogs", new).await.expect(201).header("location").to_owned();
    let change = |body: Value| {
        let request = app.request("PATCH", &path).header("content-type", "application/merge-patch+json");
        TestResponse::of(request.body(body.to_string()))
    };
    let renamed = change(json!({ "name": "Togo" })).await.expect(200);
    assert_eq!((&renamed.json()["name"], renamed.header("etag")), (&json!("Togo"), "\"2\""));
    assert_eq!(renamed.json()["image_url"], "https://example.org/b.jpg");
    let bare = change(json!({ "name": null, "image_url": null })).await.expect(200).json();
    assert_eq!((bare.get("name"), &bare["image_url"], &bare["revision"]), (None, &Value::Null, &json!(3)));
    assert_eq!(change(json!({})).await.expect(200).header("etag"), "\"3\"");
    assert_eq!(app.send("PATCH", &path, json!({ "breed": "boxer" })).await.expect(200).json()["breed"], "boxer");
    for (wrong, field) in [
        (json!({ "breed": null }), "breed"),
        (json!({ "id": UNKNOWN_ID }), "id"),
        (json!({ "revision": 9 }), "revision"),
        (json!({ "name": 5 }), "name"),
    ] {
        change(wrong).await.expect_invalid(field);
    }
    let text = app.request("PATCH", &path).header("content-type", "text/plain").body("{}");
    TestResponse::of(text).await.expect(415);
    app.send("PATCH", &format!("/api/v1/dogs/{UNKNOWN_ID}"), json!({ "name": "x" })).await.expect(404);
}

#[tokio::test]
async fn one_of_two_writers_with_the_same_revision_wins() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        let dog = app.dog("husky").await;
        let path = format!("/api/v1/dogs/{}", dog["id"].as_str().unwrap());
        let write = |name: &'static str| {
            TestResponse::of(app.request("PATCH", &path).header("if-match", "\"1\"").json(&json!({ "name": name })))
        };
        let (one, other) = tokio::join!(write("one"), write("other"));
        let mut statuses = [one.status, other.status];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
        let (winner, loser) = if one.status == 200 { ("one", other) } else { ("other", one) };
        assert_eq!(loser.expect(412).json()["code"], "precondition_failed");
        let now = app.get(&path).await.json();
        assert_eq!((&now["name"], &now["revision"]), (&json!(winner), &json!(2)));
    }
}

#[tokio::test]
async fn if_match_accepts_lists_and_rejects_invalid_tags() {
    let app = TestApp::start().await;
    let path = format!("/api/v1/dogs/{}", app.dog("husky").await["id"].as_str().unwrap());
    let write = |tags: &'static str, name: &'static str| {
        TestResponse::of(app.request("PATCH", &path).header("if-match", tags).json(&json!({ "name": name })))
    };
    write("\"7\", \"1t\"", "a").await.expect(200);
    write("*", "b").await.expect(200);
    for stale in ["\"2\"", "W/\"2\"", "\"x\""] {
        write(stale, "c").await.expect(412);
    }
    write("3", "c").await.expect(400);
    // As a compressing proxy forwards it.
    write("W/\"3\"", "c").await.expect(200);
    let remove = |tags: &'static str| TestResponse::of(app.request("DELETE", &path).header("if-match", tags));
    remove("\"2\"").await.expect(412);
    remove("\"4\"").await.expect(204);
}

#[tokio::test]
async fn a_thumbnail_changes_the_tag_and_not_the_revision() {
    let app = TestApp::start().await;
    let fetched = app.get("/api/v1/dogs/husky/image").await.expect(200).json();
    let path = format!("/api/v1/dogs/{}", fetched["id"].as_str().unwrap());
    let known = |tags: &'static str| TestResponse::of(app.request("GET", &path).header("if-none-match", tags));
    let unchanged = known("W/\"1\", \"9\"").await.expect(304);
    assert_eq!((unchanged.header("etag"), unchanged.body.len()), ("\"1\"", 0));

    let id = fetched["id"].as_str().unwrap().parse().unwrap();
    let key = app.service.get(id).await.unwrap().photo.unwrap().key;
    let at = kennel_core::Timestamp::from_millis(0).unwrap();
    let receipt = Receipt { group: "test".to_owned(), event: uuid::Uuid::from_u128(1), at };
    app.service.put_thumbnail(id, &key, b"\xff\xd8\xff small".as_slice().into(), &receipt).await.unwrap();

    let with_thumbnail = known("\"1\"").await.expect(200);
    assert_eq!(with_thumbnail.header("etag"), "\"1t\"");
    let thumbnail = with_thumbnail.json()["thumbnail_url"].as_str().unwrap().to_owned();
    assert_eq!(&app.get(&thumbnail).await.expect(200).body[..], b"\xff\xd8\xff small");
    known("\"1t\"").await.expect(304);
    // A client that read the dog before its thumbnail was created may still update it.
    let write = app.request("PATCH", &path).header("if-match", "\"1\"").json(&json!({ "name": "Balto" }));
    assert_eq!(TestResponse::of(write).await.expect(200).header("etag"), "\"2t\"");
}

#[tokio::test]
async fn pages_are_linked() {
    let app = TestApp::start().await;
    let mut created = Vec::new();
    for breed in ["husky", "boxer", "husky", "husky", "husky", "boxer", "husky"] {
        created.push(app.dog(breed).await);
    }
    let huskies: Vec<_> = created.iter().filter(|dog| dog["breed"] == "husky").cloned().collect();
    for (order, expected) in [("asc", huskies.clone()), ("desc", huskies.into_iter().rev().collect())] {
        let mut target = Some(format!("/api/v1/dogs?breed=husky&limit=2&order={order}"));
        let (mut listed, mut pages) = (Vec::new(), 0);
        while let Some(here) = target {
            let page = app.get(&here).await.expect(200);
            assert!(page.link("first").is_some());
            assert_eq!(page.link("next").is_some(), page.json()["next"].is_string());
            // A dog that is created between pages does not change them.
            app.dog("boxer").await;
            listed.extend(page.json()["items"].as_array().unwrap().clone());
            target = page.link("next");
            pages += 1;
        }
        assert_eq!((listed, pages), (expected, 3), "{order}");
    }
    let newest = app.get("/api/v1/dogs?limit=1&breed=husky").await.expect(200).json();
    assert_eq!(newest["items"][0], created[6]);
}

#[tokio::test]
async fn invalid_list_parameters_are_named() {
    let app = TestApp::start().await;
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=many", "limit"),
        ("cursor=x", "cursor"),
        ("order=up", "order"),
        ("breed=a.b", "breed"),
        ("bread=rye", "bread"),
    ] {
        app.get(&format!("/api/v1/dogs?{query}")).await.expect_invalid(field);
    }
    app.get("/api/v1/dogs?limit=1000").await.expect(200);
}

#[tokio::test]
async fn unknown_and_invalid_ids_are_distinguished() {
    let app = TestApp::start().await;
    app.get(&format!("/api/v1/dogs/{UNKNOWN_ID}")).await.expect(404);
    app.get("/api/v1/dogs/husky").await.expect_invalid("id");
    app.get("/api/v1/dogs/husky/photo").await.expect_invalid("id");
}
