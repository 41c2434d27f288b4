//! Breeds, status, the gallery, the documentation, and unknown routes.

use std::collections::BTreeSet;

use dogs_domain::Breed;
use serde_json::{Value, json};

use crate::support::{FaultMode, TestApp, TestResponse};

#[tokio::test]
async fn breeds_are_counted() {
    let app = TestApp::start().await;
    for breed in ["husky", "husky", "mixed"] {
        app.dog(breed).await;
    }
    let breeds = app.get("/api/v1/breeds").await.expect(200).json();
    let counted = |list: &[(&str, u64)]| -> Value {
        list.iter().map(|(breed, dogs)| json!({ "breed": breed, "dogs": dogs })).collect()
    };
    assert_eq!(breeds["items"], counted(&[("hound-afghan", 0), ("husky", 2), ("mixed", 1)]));
    app.source.set_fault(FaultMode::Unavailable(None));
    let stored = app.get("/api/v1/breeds").await.expect(200).json();
    assert_eq!(stored["items"], counted(&[("husky", 2), ("mixed", 1)]));
    assert!(
        stored["items"].as_array().unwrap().iter().all(|item| item["breed"].as_str().unwrap().parse::<Breed>().is_ok())
    );
}

#[tokio::test]
async fn the_status_names_the_backends() {
    let app = TestApp::start().await;
    let status = app.get("/api/v1/status").await.expect(200).json();
    let backends = json!({ "storage": "sqlite", "broker": "memory", "cache": "none", "objects": "fs" });
    assert_eq!((&status["ready"], &status["backends"]), (&json!(true), &backends));
    assert_eq!((&status["checks"][0]["name"], &status["checks"][0]["status"]), (&json!("storage"), &json!("up")));
    assert_eq!(status["max_image_bytes"], 1024 * 1024);
    assert_eq!(
        (&status["metrics_url"], &status["grafana_url"]),
        (&json!("http://kennel.test:9090/metrics"), &json!(null))
    );
    app.get("/live").await.expect(200);
    assert_eq!(app.get("/ready").await.json()["ready"], true);
    app.health.close();
    assert_eq!(app.get("/api/v1/status").await.expect(200).json()["ready"], false);
    assert_eq!(app.get("/ready").await.status, 503);
}

#[tokio::test]
async fn the_gallery_has_a_strict_policy() {
    let app = TestApp::start().await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/gallery/app.js", "text/javascript; charset=utf-8"),
        ("/gallery/style.css", "text/css; charset=utf-8"),
        ("/gallery/icon.svg", "image/svg+xml"),
    ] {
        let file = app.get(path).await.expect(200);
        assert_eq!(file.header("content-type"), content_type);
        let policy = file.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
        let known = app.request("GET", path).header("if-none-match", file.header("etag"));
        assert_eq!(TestResponse::of(known).await.expect(304).header("etag"), file.header("etag"));
    }
    let page = String::from_utf8(app.get("/").await.body.to_vec()).unwrap();
    // The policy blocks all of these.
    for inline in ["<style", " style=", " onclick=", "javascript:", "<script>"] {
        assert!(!page.contains(inline), "{inline}");
    }
    // The page preloads all scripts, so that the browser does not discover them one by one.
    let named: BTreeSet<_> =
        page.split("=\"gallery/").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect();
    let mut imported = BTreeSet::new();
    for name in &named {
        let file = app.get(&format!("/gallery/{name}")).await.expect(200);
        let script = String::from_utf8(file.body.to_vec()).unwrap();
        imported.extend(script.split("\"./").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()));
    }
    assert!(!imported.is_empty() && imported.is_subset(&named), "{imported:?} {named:?}");
}

#[tokio::test]
async fn the_documentation_is_served() {
    let app = TestApp::start().await;
    let described = app.get("/openapi.json").await.expect(200).json();
    let committed: Value =
        serde_json::from_str(&kennel_service::contracts::openapi_json::<dogs::Dogs>().unwrap()).unwrap();
    assert_eq!(described, committed);
    app.get("/documentation/").await.expect(200);
}

/// Every documented route exists and responds with a documented status.
#[tokio::test]
async fn documented_routes_exist() {
    let app = TestApp::start().await;
    let described = app.get("/openapi.json").await.json();
    for (path, operations) in described["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let target = path.replace("{id}", "0198c5f2-7d3e-7c41-9d1a-0b6f7c2f5a10").replace("{breed}", "unicorn");
            let target = target.replace("{sub_breed}", "pink");
            let request = app.request(&method.to_uppercase(), &target);
            let status = request.send().await.unwrap().status().as_u16();
            let known = operation["responses"].as_object().unwrap();
            assert!(known.contains_key(&status.to_string()), "{method} {path}: {status}");
            assert_ne!(status, 405, "{method} {path}");
            for code in ["500", "503", "504"] {
                assert!(known.contains_key(code), "{method} {path}: {code}");
            }
        }
    }
}

#[tokio::test]
async fn unknown_routes_are_problems() {
    let app = TestApp::start().await;
    for path in
        ["/nowhere", "/api/v1/cats", "/api/v1/dogs/husky/image/large", "/gallery/../secret", "/documentation/nothing"]
    {
        assert_eq!(app.get(path).await.expect(404).json()["code"], "not_found", "{path}");
    }
    for (method, path, allowed) in [
        ("DELETE", "/api/v1/dogs", "GET"),
        ("POST", "/api/v1/breeds", "GET"),
        ("PUT", "/api/v1/events", "GET"),
        ("POST", "/", "GET"),
    ] {
        let response = TestResponse::of(app.request(method, path)).await.expect(405);
        assert!(response.header("allow").contains(allowed), "{method} {path}: {}", response.header("allow"));
    }
}
