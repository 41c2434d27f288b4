//! The story.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use kennel_proto::gifs::v1::catalogue_client::CatalogueClient;
use kennel_proto::gifs::v1::{
    GetGifRequest, Gif, ListGifsRequest, Origin, RandomRequest, SearchRequest, State, TrendingRequest,
    WatchGifsRequest, WatchGifsResponse,
};
use kennel_testkit::probe;
use kennel_testkit::process::{Launch, ServiceProcess};
use tempfile::TempDir;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Streaming};

use crate::backends::Variables;
use crate::media;

const WAIT_LIMIT: Duration = Duration::from_secs(30);
const STOP_LIMIT: Duration = Duration::from_secs(20);

pub(crate) type Client = CatalogueClient<Channel>;

/// A running program and its addresses.
pub(crate) struct Program {
    pub(crate) process: ServiceProcess,
    pub(crate) http: SocketAddr,
    pub(crate) sys: SocketAddr,
    pub(crate) client: Client,
    pub(crate) folder: TempDir,
}

impl Program {
    pub(crate) async fn start(variables: &[(&'static str, String)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), variables).await
    }

    async fn start_in(folder: TempDir, variables: &[(&'static str, String)]) -> Self {
        let mut process = launch(&folder, &["serve"], variables);
        let http = process.listener("http").await;
        let grpc = process.listener("grpc").await;
        let sys = process.listener("sys").await;
        process.ready(sys, "/ready").await;
        let client = CatalogueClient::connect(format!("http://{grpc}")).await.unwrap();
        Self { process, http, sys, client, folder }
    }

    pub(crate) async fn metrics(&self) -> String {
        String::from_utf8(probe::get(self.sys, "/metrics").await.unwrap().body).unwrap()
    }

    pub(crate) async fn stop(mut self) -> String {
        self.process.terminate();
        assert!(self.process.wait(STOP_LIMIT).await.success(), "{}", self.process.output());
        self.process.output()
    }
}

pub(crate) fn launch(folder: &TempDir, args: &[&str], variables: &[(&'static str, String)]) -> ServiceProcess {
    let mut env = vec![("SERVER_PORT", "0"), ("GRPC_PORT", "0"), ("PROMETHEUS_PORT", "0")];
    env.extend(variables.iter().map(|(name, value)| (*name, value.as_str())));
    let binary = Path::new(env!("CARGO_BIN_EXE_gif-storage"));
    ServiceProcess::start(&Launch { binary, args, env: &env, directory: folder.path() })
}

pub(crate) fn search(query: &str) -> SearchRequest {
    SearchRequest { query: query.to_owned(), ..Default::default() }
}

/// Runs the program with these variables, and uses it as clients do.
pub(crate) async fn story(variables: &Variables) {
    let mut program = Program::start(variables).await;
    let (mut events, earlier) = watching(&mut program.client).await;
    let cats = found_cats(&mut program).await;
    let discovered = discovered(&mut events, &cats).await;

    pages(&mut program.client).await;
    refusals(&mut program.client).await;
    lists(&mut program.client, &cats).await;
    files(program.http, &cats[0]).await;
    if variables.iter().any(|(name, _)| *name == "BROKER") {
        settled(&mut program.client, variables, &cats).await;
    }
    resumed(&mut program.client, &discovered[1].id, &discovered[2..]).await;

    let metrics = program.metrics().await;
    assert!(metrics.contains("gif_provider_requests_total{outcome=\"ok\",provider=\"local\"}"), "{metrics}");
    assert!(metrics.contains("operation=\"gifs.upsert\",outcome=\"ok\""), "{metrics}");
    let folder = drained(program).await;
    let mut next = Program::start_in(folder, variables).await;
    // After an event of another search: the events of one search are at the same moment, and have no order.
    resumed(&mut next.client, &earlier, &discovered).await;
    next.stop().await;
}

/// A server that stops ends its streams, so that clients resume at another one.
async fn drained(mut program: Program) -> TempDir {
    let mut events = program.client.watch_gifs(WatchGifsRequest::default()).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    program.process.terminate();
    let ended = async {
        loop {
            match events.message().await {
                Ok(message) => assert!(message.is_some(), "a stream does not end as if all events were sent"),
                Err(status) => return status,
            }
        }
    };
    let status = timeout(WAIT_LIMIT, ended).await.unwrap();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(program.process.wait(STOP_LIMIT).await.success(), "{}", program.process.output());
    program.folder
}

/// The events from now on, and the id of the last one before them. A stream that begins before the feed of an empty catalogue is subscribed is reset once.
async fn watching(client: &mut Client) -> (Streaming<WatchGifsResponse>, String) {
    for text in ["ghost", "heart", "star"] {
        let mut events = client.watch_gifs(WatchGifsRequest::default()).await.unwrap().into_inner();
        let start = events.message().await.unwrap().unwrap();
        assert_eq!((start.r#type.as_str(), start.data), ("", None));
        client.search(search(text)).await.unwrap();
        match events.message().await {
            Ok(first) => {
                let first = first.unwrap();
                assert_eq!(first.r#type, "gifs.discovered");
                return (events, first.id);
            }
            Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}"),
        }
    }
    panic!("the stream is reset again and again");
}

/// The events that report these GIFs, in their order. Events of other GIFs may come between them.
async fn discovered(events: &mut Streaming<WatchGifsResponse>, gifs: &[Gif]) -> Vec<WatchGifsResponse> {
    let mut missing: HashSet<_> = gifs.iter().map(|gif| gif.id.as_str()).collect();
    let mut found = Vec::new();
    while !missing.is_empty() {
        let event = next(events, "gifs.discovered").await;
        if missing.remove(event.subject.as_str()) {
            found.push(event);
        }
    }
    found
}

/// A search, which finds the same GIFs again.
async fn found_cats(program: &mut Program) -> Vec<Gif> {
    let first = program.client.search(search("cat")).await.unwrap().into_inner();
    let source = first.source.clone().unwrap();
    assert_eq!(
        (source.origin(), source.provider.as_str(), source.attribution.as_str()),
        (Origin::Provider, "local", "Drawn by Kennel")
    );
    assert_eq!((first.gifs.len(), first.next_page_token.as_str()), (4, ""));
    assert!(first.gifs.iter().all(|gif| gif.state() == State::Fetching && gif.tags.contains(&"cat".to_owned())));
    let again = program.client.search(search(" CAT ")).await.unwrap().into_inner();
    assert_eq!(again.gifs, first.gifs);
    first.gifs
}

/// Pages of a search, popular GIFs, and random ones.
async fn pages(client: &mut Client) {
    let mut request = SearchRequest { page_size: 9, ..search("animal") };
    let mut seen = Vec::new();
    loop {
        let page = client.search(request.clone()).await.unwrap().into_inner();
        seen.extend(page.gifs.into_iter().map(|gif| gif.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!((seen.len(), seen.iter().collect::<HashSet<_>>().len()), (20, 20));
    let trending = client.trending(TrendingRequest::default()).await.unwrap().into_inner();
    assert_eq!((trending.gifs.len(), trending.next_page_token.as_str()), (25, "local.25"));
    let rest = TrendingRequest { page_token: trending.next_page_token, ..Default::default() };
    let rest = client.trending(rest).await.unwrap().into_inner();
    assert_eq!((rest.gifs.len(), rest.next_page_token.as_str()), (7, ""));
    let tag = |tag: &str| RandomRequest { tag: tag.to_owned(), ..Default::default() };
    let random = client.random(tag("dog")).await.unwrap().into_inner().gif.unwrap();
    assert!(random.tags.contains(&"dog".to_owned()));
    assert_eq!(client.random(tag("qqzzy")).await.unwrap_err().code(), Code::NotFound);
    assert!(client.random(tag("")).await.is_ok());
}

/// Requests that are not valid.
async fn refusals(client: &mut Client) {
    let invalid = [
        search(""),
        search(&"a".repeat(51)),
        SearchRequest { page_size: 51, ..search("a") },
        SearchRequest { language: "eng".to_owned(), ..search("a") },
        SearchRequest { page_token: "x".to_owned(), ..search("a") },
        SearchRequest { page_token: "giphy.25".to_owned(), ..search("a") },
    ];
    for request in invalid {
        let status = client.search(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{request:?}: {status:?}");
    }
    for (id, code) in [("x", Code::InvalidArgument), ("01900000-0000-7000-8000-000000000000", Code::NotFound)] {
        assert_eq!(client.get_gif(GetGifRequest { id: id.to_owned() }).await.unwrap_err().code(), code);
    }
}

/// The catalogue, newest first.
async fn lists(client: &mut Client, cats: &[Gif]) {
    let mut request = ListGifsRequest { page_size: 10, state: State::Fetching.into(), ..Default::default() };
    let mut ids = Vec::new();
    loop {
        let page = client.list_gifs(request.clone()).await.unwrap().into_inner();
        ids.extend(page.gifs.into_iter().map(|gif| gif.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(ids.len(), 32, "all bundled animations");
    assert!(ids.is_sorted_by(|a, b| a > b));
    assert!(cats.iter().all(|cat| ids.contains(&cat.id)));
    let known = ListGifsRequest { state: State::Known.into(), ..Default::default() };
    assert_eq!(client.list_gifs(known).await.unwrap().into_inner().gifs, []);
}

/// The file of a GIF, as gif-files downloads it.
async fn files(http: SocketAddr, gif: &Gif) {
    let path = gif.renditions[0].url.split_once("/local/").unwrap().1;
    let file = probe::get(http, &format!("/local/{path}")).await.unwrap();
    assert_eq!((file.status, &file.body[..6]), (200, &b"GIF89a"[..]));
    assert_eq!(probe::get(http, "/local/unicorn.gif").await.unwrap().status, 404);
}

/// What Media reports moves two GIFs to their final states, and clients are notified.
async fn settled(client: &mut Client, variables: &Variables, cats: &[Gif]) {
    let mut events = client.watch_gifs(WatchGifsRequest::default()).await.unwrap().into_inner();
    events.message().await.unwrap().unwrap();
    let ids = [cats[0].id.parse().unwrap(), cats[1].id.parse().unwrap()];
    let results = media::results(ids[0], ids[1]);
    for _ in 0..3 {
        media::publish(variables, &results).await;
    }
    let stored = in_state(client, &cats[0].id, State::Stored).await;
    assert_eq!(stored.media.unwrap().sha256, "0f".repeat(32));
    let refused = in_state(client, &cats[1].id, State::Refused).await;
    assert_eq!((refused.refusal.as_str(), refused.media), ("too_large", None));
    let settled = [next(&mut events, "gifs.settled").await, next(&mut events, "gifs.settled").await];
    let subjects: HashSet<_> = settled.iter().map(|event| event.subject.as_str()).collect();
    assert_eq!(subjects, cats[..2].iter().map(|gif| gif.id.as_str()).collect());
    // What is found again stays in its state.
    let again = client.search(search("cat")).await.unwrap().into_inner().gifs;
    assert_eq!((again[0].state(), again[1].state()), (State::Stored, State::Refused));
}

async fn in_state(client: &mut Client, id: &str, state: State) -> Gif {
    let reached = async {
        loop {
            let request = GetGifRequest { id: id.to_owned() };
            let gif = client.get_gif(request).await.unwrap().into_inner().gif.unwrap();
            if gif.state() == state {
                return gif;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(WAIT_LIMIT, reached).await.unwrap()
}

/// A client that was disconnected gets what it has missed, also from another process.
async fn resumed(client: &mut Client, last: &str, missed: &[WatchGifsResponse]) {
    let request = WatchGifsRequest { last_event_id: last.to_owned() };
    let mut events = client.watch_gifs(request).await.unwrap().into_inner();
    let mut missing: HashSet<_> = missed.iter().map(|event| event.id.as_str()).collect();
    while !missing.is_empty() {
        missing.remove(next(&mut events, "gifs.discovered").await.id.as_str());
    }
}

/// The next event of this type.
async fn next(events: &mut Streaming<WatchGifsResponse>, name: &str) -> WatchGifsResponse {
    let event = async {
        loop {
            let message = events.message().await.unwrap().unwrap();
            if message.r#type == name {
                return message;
            }
        }
    };
    timeout(WAIT_LIMIT, event).await.unwrap()
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn the_command_line_searches() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = launch(&folder, &["search", "happy cat"], &[]);
    assert!(command.wait(STOP_LIMIT).await.success(), "{}", command.output());
    let output = command.output();
    let line =
        output.lines().find(|line| line.ends_with("local       Jumping cat")).unwrap_or_else(|| panic!("{output}"));
    assert!(line.contains("fetching"), "{output}");
}
